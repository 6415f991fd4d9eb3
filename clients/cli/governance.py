"""``suture-node vote`` and ``suture-node rewards``: a holder as a member, and what it earned."""

from __future__ import annotations

import typer

from clients.cli.home import HomeWindow, acting, reading
from ledger.desk import rewards as paying
from ledger.desk import votes
from ledger.views.binding import at

vote = typer.Typer(no_args_is_help=True)
rewards = typer.Typer(no_args_is_help=True)

vote.command(epilog="Example: suture-node vote propose node ADMIT 0x4fe3... --roles holder")(
    at(acting)(votes.propose)
)
vote.command(epilog="Example: suture-node vote cast node 1f2e --dry-run")(at(acting)(votes.cast))
vote.command(name="list", epilog="Example: suture-node vote list node")(at(reading)(votes.listing))


@rewards.command(epilog="Example: suture-node rewards show node --from runs/one/public")
@at(reading)
def show(
    window: HomeWindow,
    run: paying.RunId = None,
    source: paying.Source = None,
    weights: paying.Weights = False,
) -> None:
    """Show what you earned in a run, were paid, and can claim; checked against the ledger."""
    paying.tell(window, run, source, weights=weights, only=window.me)


rewards.command(epilog="Example: suture-node rewards claim node --from runs/one/public")(
    at(acting)(paying.claim)
)
