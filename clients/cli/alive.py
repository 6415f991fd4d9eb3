"""``suture-node alive``: the health check of a data holder's containers."""

from __future__ import annotations

from typing import Annotated

import typer

from suture_fl.alive import PATIENCE_S, AnswersFailure, AsJson, NoAnswer, check_alive, told

EPILOG = "Example: suture-node alive unix:/run/suture/node.sock"


def alive(
    place: Annotated[
        list[str],
        typer.Argument(
            help="unix:SOCKET for the node, http://HOST:PORT/health for gateway and SuperNode, or tcp://HOST:PORT.",
            show_default=False,
        ),
    ],
    gateway: Annotated[
        str | None,
        typer.Option(
            help="Of a SuperNode: http://HOST:PORT/health/supernode of its gateway. Fails when that says that the SuperNode holds "
            "a message whose time is over; a gateway that does not answer is not its fault.",
            show_default=False,
        ),
    ] = None,
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
        if gateway is not None:
            _check_not_held(gateway)


def _check_not_held(gateway: str) -> None:
    """Fail where the gateway says that its SuperNode hangs; one that is away has a health check of its own.

    Raises:
        NoAnswer: It says so.
    """
    try:
        check_alive(gateway)
    except AnswersFailure as error:
        raise NoAnswer(
            f"the SuperNode holds a message whose time is over, says its gateway at {gateway}.",
            fix="Start it again; the gateway's log names the message.",
        ) from error
    except NoAnswer:
        return
