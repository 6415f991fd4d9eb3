"""``suture alive``: the health check of the coordinator's containers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
) -> None:
    """Ask services whether they answer; the first one that does not ends the command with exit code 1."""
    from suture_fl.alive import check_alive
    from suture_fl.report import one_line

    for one in place:
        check_alive(one, ca)
        typer.echo(one_line(f"{one} answers"))
