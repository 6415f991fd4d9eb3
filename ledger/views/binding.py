"""One command for several programs: what it does is written once, how it finds its ledger belongs to each program.

``suture vote cast`` takes ``--ledger`` and ``--as``, ``suture-node vote cast`` a node's folder. A command is a function whose first
argument is an open window or desk; :func:`at` puts the options that open one in its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

LEDGER_VARIABLE = "SUTURE_LEDGER"

Ledger = Annotated[
    Path,
    typer.Option(
        "--ledger",
        envvar=LEDGER_VARIABLE,
        help="A ledger.toml, or a run's public folder, or a folder with one of them.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text; errors too.")]
HERE = Path()
"""Where a ledger is looked for when none is named."""


def at(
    opener: Callable[..., AbstractContextManager[Any]],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return what turns ``body(opened, ...)`` into a command with the options of ``opener`` and those of ``body``."""
    theirs = list(inspect.signature(opener, eval_str=True).parameters.values())

    def bind(body: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]

        def command(**values: Any) -> None:  # noqa: ANN401 - whatever the options are
            given = {parameter.name: values.pop(parameter.name) for parameter in theirs}
            with opener(**given) as opened:
                body(opened, **values)

        parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in _ordered(theirs, own)]
        command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # read by inspect.signature
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        command.__name__, command.__doc__ = body.__name__, body.__doc__
        return command

    return bind


def _ordered(theirs: list[Parameter], own: list[Parameter]) -> list[Parameter]:
    """Order parameters as help shows them: where, what, then the options of the command, then those that all have."""
    arguments = [p for p in [*theirs, *own] if not _is_option(p)]
    return [*arguments, *filter(_is_option, own), *filter(_is_option, theirs)]


def _is_option(parameter: Parameter) -> bool:
    metadata = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(item, typer.models.OptionInfo) for item in metadata)
