"""``suture member`` and ``suture vote``: who takes part, and how the members decide it."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.office import acting, reading
from ledger.desk import votes
from ledger.views import members as view
from ledger.views.binding import at
from ledger.views.window import Window

member = typer.Typer(no_args_is_help=True)
vote = typer.Typer(no_args_is_help=True)


@member.command(name="list", epilog="Example: suture member list --ledger ledger.toml --json")
@at(reading)
def listing(window: Window) -> None:
    """List the members: roles, number of key sets, since when; the threshold, and whether the ledger is paused."""
    window.show(view.members(window))


@member.command(epilog="Example: suture member show 0x4fe3...")
@at(reading)
def show(
    window: Window,
    account: Annotated[
        str, typer.Argument(help="An account, or a name of the public folder.", show_default=False)
    ],
) -> None:
    """Show one member: fingerprint to compare over the phone, admissions, removals, all keys."""
    window.show(view.member(window, window.account_of(account)))


vote.command(
    epilog="Examples: suture vote propose ADMIT 0x4fe3... --roles holder --as keys/me.json | suture vote propose THRESHOLD 3 --as keys/me.json"
)(at(acting)(votes.propose))
vote.command(epilog="Example: suture vote cast 1f2e --as keys/me.json --dry-run")(at(acting)(votes.cast))
vote.command(name="list", epilog="Example: suture vote list --json")(at(reading)(votes.listing))
