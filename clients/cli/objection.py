"""``suture-node objection``: a holder disputes a round."""

from __future__ import annotations

from clients.cli.arguments import Folder
from ledger.desk.options import DisputedRound, DisputedRun, DryRun, Statement, Yes
from ledger.views.binding import AsJson

EPILOG = "Example: suture-node objection node 1f2e --round 3 --statement statement.pdf"


def objection(
    folder: Folder,
    statement: Statement,
    run: DisputedRun = None,
    number: DisputedRound = 0,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Dispute a round, or a run, on the ledger, for everybody to see. It stops nothing; to leave, withdraw consent."""
    from clients.cli.home import acting
    from ledger.desk.objections import object_to

    with acting(folder=folder, dry_run=dry_run, yes=yes, as_json=as_json) as desk:
        object_to(desk, run, number, statement)
