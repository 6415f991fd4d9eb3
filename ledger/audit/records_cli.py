"""``suture-audit members``, ``votes``, ``consents``, ``objections``, ``budgets`` and ``rewards``: what a ledger says, read only and without a key.

Chain, contract and code are checked against what is pinned, and the rewards document against its root on the ledger. For the
rest the node is believed that answers; whoever does not, asks several, or audits the run's public folder with ``verify``, which
executes an embedded chain again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.views.binding import AsJson

if TYPE_CHECKING:
    from ledger.views.window import Window

Place = Annotated[
    Path,
    typer.Argument(metavar="LEDGER", help="A ledger.toml, or a public folder, or a folder with one of them."),
]
Run = Annotated[
    str | None,
    typer.Option("--run", help="Only this run: its id or the beginning of it.", show_default=False),
]

MEMBERS = "Example: suture-audit members suture-demo --json"
VOTES = "Example: suture-audit votes ledger.toml"
BUDGETS = "Example: suture-audit budgets suture-demo --json"
CONSENTS = "Example: suture-audit consents suture-demo --run 1f2e"
OBJECTIONS = "Example: suture-audit objections ledger.toml --json"
REWARDS = "Example: suture-audit rewards suture-demo"


def members(place: Place, as_json: AsJson = False) -> None:
    """List the members of a ledger: roles, number of key sets, since when; the threshold, and whether it is paused."""
    from ledger.views.members import members as answer

    with _opened(place, as_json) as window:
        window.show(answer(window))


def votes(place: Place, as_json: AsJson = False) -> None:
    """List every vote that members ever cast, when, and what it led to."""
    from ledger.views.proposals import vote_history

    with _opened(place, as_json) as window:
        window.show(vote_history(window))


def consents(place: Place, run: Run = None, as_json: AsJson = False) -> None:
    """List every consent and withdrawal: who, to which run, when; and who consents now."""
    from ledger.views.consents import consent_history

    with _opened(place, as_json) as window:
        window.show(consent_history(window, None if run is None else window.run(run).id))


def objections(place: Place, run: Run = None, as_json: AsJson = False) -> None:
    """List every objection: who, to which round of which run, when, and the digest of the statement."""
    from ledger.views.objections import objections as answer

    with _opened(place, as_json) as window:
        window.show(answer(window, None if run is None else window.run(run).id))


def budgets(place: Place, as_json: AsJson = False) -> None:
    """Show the privacy budget of every data set that the ledger knows: granted, set aside, spent, left; for which runs."""
    from ledger.views.budgets import budgets as answer
    from ledger.views.budgets import data_sets

    with _opened(place, as_json) as window:
        window.show(answer(window, data_sets(window), {}))


def rewards(
    place: Place,
    run: Run = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="The run's public folder, or the newest rewards document. By default the folder that the chain is in.",
            show_default=False,
        ),
    ] = None,
    weights: Annotated[
        bool,
        typer.Option(
            "--weights",
            help="Show also the weights that were opened, round by round, in a run that pays by examples.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what every account earned in a run, was paid, and can claim; exit code 1 if the document is not the ledger's."""
    from ledger.views.rewards import earnings
    from ledger.views.rewards import rewards as answer
    from ledger.views.weights import with_weights

    with _opened(place, as_json) as window:
        found = earnings(window, window.run(run), source)
        said = answer(window, found)
        window.show(with_weights(window, found, source, said) if weights else said)


@contextmanager
def _opened(place: Path, as_json: bool) -> Iterator[Window]:
    from ledger.address import find_ledger
    from ledger.views.window import Window, look

    with look(find_ledger(place), Window, as_json=as_json) as window:
        yield window
