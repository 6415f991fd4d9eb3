"""``suture objection``: an auditor disputes a round."""

from __future__ import annotations

from ledger.desk.options import AccountUri, DisputedRound, DisputedRun, DryRun, Statement, Yes
from ledger.views.binding import HERE, AsJson, Ledger

EPILOG = "Example: suture objection 1f2e --round 3 --statement statement.pdf --as keys/auditor.json"


def objection(
    account: AccountUri,
    statement: Statement,
    run: DisputedRun = None,
    number: DisputedRound = 0,
    ledger: Ledger = HERE,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Dispute a round, or a run, on the ledger, for everybody to see; an auditor may. It stops nothing: see suture pause.

    A holder does the same with suture-node objection.
    """
    from coordinator.cli.office import acting
    from ledger.desk.objections import object_to

    with acting(account=account, ledger=ledger, dry_run=dry_run, yes=yes, as_json=as_json) as desk:
        object_to(desk, run, number, statement)
