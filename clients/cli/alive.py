"""``suture-node alive``: the health check of a data holder's containers."""

from __future__ import annotations

from typing import Annotated

import typer

EPILOG = "Example: suture-node alive unix:/run/suture/node.sock"


def alive(
    place: Annotated[
        list[str],
        typer.Argument(
            help="unix:SOCKET for the node, http://HOST:PORT/health for gateway and SuperNode, or tcp://HOST:PORT.",
            show_default=False,
        ),
    ],
) -> None:
    """Ask the node, its gateway or its SuperNode whether they answer; the first that does not ends the command with exit code 1."""
    from pathlib import Path

    from clients.door import Method, SocketDoor
    from suture_fl.alive import PATIENCE_S, check_alive
    from suture_fl.report import one_line

    for one in place:
        kind, _, rest = one.partition(":")
        if kind == "unix":
            SocketDoor(Path(rest), PATIENCE_S).call(Method.PING, b"")
        else:
            check_alive(one)
        typer.echo(one_line(f"{one} answers"))
