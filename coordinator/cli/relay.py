"""``suture relay``: the HTTPS service to which nodes connect outward."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suture_fl.log_option import JsonLogs

EPILOG = "Example: suture relay runs/one --certificate server.pem --key server.key --host 0.0.0.0 --port 9443"


def relay(
    folder: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    certificate: Annotated[
        Path, typer.Option(help="PEM file with the server's certificate.", show_default=False)
    ],
    key: Annotated[Path, typer.Option(help="PEM file with its private key.", show_default=False)],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 9443,
    ledger: Annotated[
        Path | None,
        typer.Option(help="The consortium's ledger.toml; needed before the launch.", show_default=False),
    ] = None,
    json_logs: JsonLogs = False,
) -> None:
    """Serve duties, answers, archive and blocks of a run to its members until SIGTERM or Ctrl-C."""
    import logging

    from coordinator.engines.ports import LOOPBACK, reserve
    from coordinator.relay.open import open_relay
    from coordinator.relay.server import server
    from fl_core.errors import InputError
    from suture_fl.json_log import log_to_stderr
    from suture_fl.processes import write_no_core

    write_no_core()
    log_to_stderr(as_json=json_logs)
    for path in (certificate, key):
        if not path.is_file():
            raise InputError(f"there is no file {path}.", fix="Name PEM files for --certificate and --key.")
    if host in (LOOPBACK, "0.0.0.0", "localhost"):  # noqa: S104 - compared, not bound
        reserve([port])
    with open_relay(folder, ledger) as opened:
        logging.getLogger("suture.relay").info("relay on https://%s:%d", host, port)
        server(opened, host=host, port=port, certificate=certificate, key=key).run()
