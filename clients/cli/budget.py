"""``suture-node budget``: how much privacy budget runs may spend of the holder's data sets, and what they spent."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.home import HomeDesk, HomeWindow, acting, reading
from clients.node.data_sets import commitment_of, committed, find, stored
from fl_core.errors import InputError
from ledger.desk import budgets as desks
from ledger.desk.runs import RunId
from ledger.views import budgets as view
from ledger.views.binding import at

app = typer.Typer(no_args_is_help=True)


@app.command(
    epilog="Examples: suture-node budget show node   |   suture-node budget show node --data cardiology --json"
)
@at(reading)
def show(
    window: HomeWindow,
    data: Annotated[
        str | None, typer.Option(help="Only this data set. All of yours by default.", show_default=False)
    ] = None,
) -> None:
    """Show what you granted your data sets, what runs set aside and spent, what is left; and for which runs.

    A data set that is not in the folder any more is shown by its commitment.
    """
    names = [find(window.folder, data).name] if data else [one.name for one in stored(window.folder)]
    here = {commitment_of(window.folder, name): name for name in names}
    known = [] if data else view.data_sets(window, window.me)
    sets = dict.fromkeys([*((window.me, commitment) for commitment in here), *known])
    window.show(view.budgets(window, list(sets), here))


@app.command(
    epilog="Examples: suture-node budget grant node 1500000 --dry-run   |   suture-node budget grant node 0 --data cardiology"
)
@at(acting)
def grant(
    desk: HomeDesk,
    amount: Annotated[
        int,
        typer.Argument(
            min=0,
            max=desks.MAX_GRANT,
            help="The new cap, in millionths of rho of zero-concentrated differential privacy.",
            show_default=False,
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="The data set; not needed if the node has only one.", show_default=False),
    ] = None,
) -> None:
    """Set how much privacy budget runs may ever spend of a data set, all together; never below what they took."""
    name = data or _only(desk.folder)
    desks.grant(desk, committed(desk.folder, name).commitment, name, amount)


@app.command(epilog="Example: suture-node budget settle node 1f2e --dry-run")
@at(acting)
def settle(desk: HomeDesk, run: RunId = None) -> None:
    """Free what a run that is over set aside of your data set and did not spend. Your consent stays."""
    desks.settle(desk, desk.run(run), desk.account.address)


def _only(folder: Path) -> str:
    """Return the name of the only data set.

    Raises:
        InputError: There is none, or there are several.
    """
    names = [one.name for one in stored(folder)]
    if len(names) != 1:
        raise InputError(
            f"The node has {len(names)} data sets{': ' if names else ''}{', '.join(names)}.",
            fix="Name one with --data."
            if names
            else f"Add one: suture-node data add {shlex.quote(str(folder))} NAME --records FILE.csv",
        )
    return names[0]
