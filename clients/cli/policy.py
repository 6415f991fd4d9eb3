"""``suture-node policy``: why the policy allows a run, or not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.arguments import Folder

if TYPE_CHECKING:
    from fl_core.protocol.terms import Terms

app = typer.Typer(
    name="policy",
    help="Ask the holder's rules about a run.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)


@app.callback()
def root() -> None:
    """Group the commands, also while there is one."""


@app.command(
    epilog="Examples: suture-node policy check node --terms terms.json   |   suture-node policy check node --run 1f2e --json"
)
def check(
    folder: Folder,
    terms: Annotated[Path | None, typer.Option(help="A run's terms document.", show_default=False)] = None,
    run: Annotated[
        str,
        typer.Option(
            help="Id, or the beginning of the id, of a run on the node's ledger whose terms were accepted."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what each rule of the policy demands, what the run says, and the verdict; changes nothing.

    Exit code 0 means that the policy would allow the run's next round, 1 that a rule refuses it. The protocol's own
    checks, which no policy can loosen, come on top of that.
    """
    from dataclasses import asdict

    from clients.node.explain import explain
    from fl_core.errors import InputError
    from suture_fl.report import one_line

    if (terms is None) == (not run):
        raise InputError(
            "one of --terms and --run is needed.", fix="Name the terms document: --terms terms.json"
        )
    found = explain(folder, _read_terms(terms) if terms is not None else None, run, now=int(time.time()))
    allowed = not found.refusals
    if as_json:
        rules = [asdict(ruling) for ruling in found.rulings]
        typer.echo(json.dumps({"run": found.title, "allowed": allowed, "rules": rules}))
    else:
        refused = "; ".join(ruling.reason for ruling in found.refusals)
        for line in (
            f"Run: {found.title}",
            *(
                f"{'ok ' if ruling.allowed else 'NO '} {ruling.rule:24} demands {ruling.demands}; the run says {ruling.says}"
                for ruling in found.rulings
            ),
            "Allowed." if allowed else f"Refused: {refused}.",
        ):
            typer.echo(one_line(line))  # the researcher wrote the title: it may not add a line
    raise typer.Exit(0 if allowed else 1)


def _read_terms(path: Path) -> Terms:
    from fl_core.errors import InputError, SutureError
    from fl_core.protocol.terms import MAX_TERMS, Terms
    from ledger.files import read_plain

    try:
        return Terms.decode(read_plain(path.resolve(), MAX_TERMS))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}).", fix="Name a terms document."
        ) from error
    except SutureError as error:
        raise InputError(
            f"{path} is no terms document ({error.message}).",
            fix="Get terms.json from the researcher as it was made; do not edit it.",
        ) from error
