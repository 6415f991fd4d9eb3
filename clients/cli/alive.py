"""``suture-node alive``: the health check of a data holder's containers."""

from __future__ import annotations

from typing import Annotated

import typer

from suture_fl.alive import PATIENCE_S, AsJson, check_alive, told

EPILOG = "Example: suture-node alive unix:/run/suture/node.sock"


def alive(
    place: Annotated[
        list[str],
        typer.Argument(
            help="unix:SOCKET for the node, http://HOST:PORT/health for gateway and SuperNode, or tcp://HOST:PORT.",
            show_default=False,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Ask the node, its gateway or its SuperNode whether they answer; the first that does not ends the command with exit code 1."""
    from pathlib import Path

    from clients.door import Method, SocketDoor

    with told(as_json=as_json) as answers:
        for one in place:
            kind, _, rest = one.partition(":")
            if kind == "unix":
                SocketDoor(Path(rest), PATIENCE_S).call(Method.PING, b"")
            else:
                check_alive(one)
            answers(one)
