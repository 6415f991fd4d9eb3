"""``suture alive``: the health check of the coordinator's containers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from suture_fl.alive import AsJson, check_alive, told

EPILOG = "Example: suture alive https://localhost:9092 --ca certificates/ca.crt"


def alive(
    place: Annotated[
        list[str],
        typer.Argument(help="https://HOST:PORT, http://HOST:PORT or tcp://HOST:PORT.", show_default=False),
    ],
    ca: Annotated[
        Path | None,
        typer.Option(
            help="PEM file of the authority that vouches for https places; default: the system's.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask services whether they answer; the first one that does not ends the command with exit code 1."""
    with told(as_json=as_json) as answers:
        for one in place:
            check_alive(one, ca)
            answers(one)
