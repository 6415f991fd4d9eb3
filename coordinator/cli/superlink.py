"""``suture superlink``: Flower's SuperLink as it runs in production."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suture_fl.log_option import JsonLogs

app = typer.Typer(no_args_is_help=True)


@app.command(
    epilog="Example: suture superlink serve superlink --certificates certificates --host 0.0.0.0 --port 9092"
)
def serve(
    folder: Annotated[
        Path, typer.Argument(help="Folder for state, logs and nodes' keys; is made.", show_default=False)
    ],
    certificates: Annotated[
        Path, typer.Option(help="Folder that `suture certificates` made.", show_default=False)
    ],
    host: Annotated[str, typer.Option(help="Address on which nodes reach it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port on which nodes reach it.", min=1, max=65535)] = 9092,
    inner_port: Annotated[
        int, typer.Option(help="Flower's own port, on 127.0.0.1 only.", min=1, max=65535)
    ] = 9091,
    json_logs: JsonLogs = False,
) -> None:
    """Run a SuperLink, its SuperExec and its door until SIGTERM or Ctrl-C; what dies is started again.

    Nodes are known by their keys: put each node's supernode.pub into
    FOLDER/nodes. From outside only Flower's fleet calls are answered. The
    flwr commands work on this machine, with FLWR_HOME=FOLDER/flower.
    """
    import os

    from coordinator.certificates import certificates_in
    from coordinator.engines.ports import reserve
    from coordinator.engines.superlink import SuperLink
    from coordinator.engines.superlink_service import keep_running
    from fl_core.errors import InputError
    from fl_core.randomness import SystemRandomSource
    from suture_fl.json_log import log_to_stderr
    from suture_fl.processes import write_no_core
    from suture_fl.stopping import Stop

    write_no_core()
    log_to_stderr(as_json=json_logs)
    files = certificates_in(certificates.resolve())
    for path in files:
        if not path.is_file():
            raise InputError(
                f"there is no file {path}.", fix=f"suture certificates {certificates} --name HOST makes it."
            )
    reserve([inner_port, port])
    os.umask(0o077)
    one = SuperLink(folder=folder.resolve(), certificates=files, inner=inner_port, host=host, port=port)
    one.prepare(SystemRandomSource())
    keep_running(one, Stop().on_signals())


@app.command(
    epilog="Example: suture superlink front https://127.0.0.1:9091 --authority ca.crt --certificate server.pem "
    "--key server.key --host 0.0.0.0 --port 9092"
)
def front(
    superlink: Annotated[
        str, typer.Argument(help="The SuperLink on this machine: https://127.0.0.1:PORT.", show_default=False)
    ],
    authority: Annotated[Path, typer.Option(help="PEM file that vouches for it.", show_default=False)],
    certificate: Annotated[
        Path, typer.Option(help="PEM file with the certificate to show.", show_default=False)
    ],
    key: Annotated[Path, typer.Option(help="PEM file with its private key.", show_default=False)],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 9092,
) -> None:
    """Pass Flower's fleet calls on to a SuperLink, and nothing else, until SIGTERM or Ctrl-C."""
    from coordinator.engines.front import server
    from fl_core.errors import InputError

    for path in (authority, certificate, key):
        if not path.is_file():
            raise InputError(
                f"there is no file {path}.",
                fix=f"suture certificates {path.parent} --name HOST makes all three.",
            )
    server(superlink, authority, host=host, port=port, certificate=certificate, key=key).run()
