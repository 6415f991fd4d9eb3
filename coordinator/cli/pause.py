"""``suture pause``: the emergency stop."""

from __future__ import annotations

from ledger.desk.options import AccountUri, DryRun, Yes
from ledger.views.binding import HERE, AsJson, Ledger

EPILOG = "Example: suture pause --as keys/auditor.json --ledger ledger.toml"


def pause(
    account: AccountUri,
    ledger: Ledger = HERE,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Stop all new work on a ledger at once: an auditor or a coordinator may. To go on, the members vote for UNPAUSE.

    Meanwhile consents can be withdrawn, rewards claimed, keys changed, runs
    closed and votes cast.
    """
    from coordinator.cli.office import acting
    from ledger.desk.votes import pause as stop

    with acting(account=account, ledger=ledger, dry_run=dry_run, yes=yes, as_json=as_json) as desk:
        stop(desk)
