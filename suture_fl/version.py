"""``--version`` of the three commands: what to name in a report, and what two parties compare first."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Annotated

import typer

_DISTRIBUTION = "suture-fl"


def version_line() -> str:
    """Return name, version and Python's version, in one line."""
    try:
        number = installed(_DISTRIBUTION)
    except PackageNotFoundError:
        number = "(not installed, run from its sources)"
    return f"{_DISTRIBUTION} {number} on Python {platform.python_version()}"


def _show(wanted: bool) -> None:
    if wanted:
        typer.echo(version_line())
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_show, is_eager=True, help="Show the version and exit.")
]
"""Option of a command's root."""
