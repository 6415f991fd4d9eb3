"""How the commands of ``suture`` find their ledger and account: by ``--ledger`` and ``--as``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ledger.address import find_ledger
from ledger.desk.desk import Account, Desk, Wishes, sit_down
from ledger.desk.options import AccountUri, DryRun, Yes
from ledger.views.binding import HERE, AsJson, Ledger
from ledger.views.window import Window, look


@contextmanager
def reading(ledger: Ledger = HERE, as_json: AsJson = False) -> Iterator[Window]:
    """Open a ledger to look at it."""
    with look(find_ledger(ledger), Window, as_json=as_json) as window:
        yield window


@contextmanager
def acting(
    account: AccountUri,
    ledger: Ledger = HERE,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> Iterator[Desk]:
    """Open a ledger to act on it as an account."""
    wishes = Wishes(dry_run=dry_run, yes=yes, as_json=as_json)
    with sit_down(find_ledger(ledger), Account(account), wishes, Desk) as desk:
        yield desk
