"""``suture-node supernode``: Flower's SuperNode in a container of its own, behind the gateway in another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: suture-node supernode /supernode --gateway gateway:9093 --socket /run/suture/node.sock"


def supernode(
    folder: Annotated[
        Path, typer.Argument(help="Folder for Flower's own files; is made.", show_default=False)
    ],
    gateway: Annotated[str, typer.Option(help="The gateway, HOST:PORT.", show_default=False)],
    socket: Annotated[Path, typer.Option(help="The node's socket, as given to serve.", show_default=False)],
    port: Annotated[
        int, typer.Option(help="The SuperNode's own port on 127.0.0.1.", min=1, max=65535)
    ] = 9094,
) -> None:
    """Become Flower's SuperNode behind a gateway that runs elsewhere: in a container of its own, say.

    It needs no key, no passphrase and no way out but the gateway, and
    inherits nothing of the environment but a few variables.
    """
    import os

    from clients.cli.supernode_process import supernode_command, supernode_environment
    from suture_fl.processes import write_no_core

    write_no_core()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = supernode_command(gateway, port, socket)
    os.execve(command[0], command, supernode_environment(folder))  # noqa: S606 - no shell is wanted
