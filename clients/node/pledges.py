"""Which data sets the holder's consents name on the ledger, and the command that takes such a consent back."""

from __future__ import annotations

import shlex
from pathlib import Path

from clients.node.house import ledger_at_hand
from clients.node.logbook import account_of
from fl_core.errors import SutureError
from ledger.address import open_ledger
from ledger.reader import LedgerReader
from ledger.records import EMPTY_WORD, RunState


def pledged(folder: Path) -> dict[bytes, bytes]:
    """Return open run -> commitment that the holder's consent to it names; empty where the ledger cannot be asked.

    Opens no key.
    """
    try:
        address = ledger_at_hand(folder)
        if address is None:
            return {}
        account, opened = account_of(folder), open_ledger(address)
    except (SutureError, OSError):
        return {}
    try:
        return dict(_of(opened.reader, account))
    except SutureError:
        return {}
    finally:
        opened.close()


def _of(reader: LedgerReader, account: bytes) -> list[tuple[bytes, bytes]]:
    runs = {
        bytes(event.values["run"]) for event in reader.events("Consent") if event.values["holder"] == account
    }
    named = [
        (run, reader.pledge(run, account).dataset)
        for run in sorted(runs)
        if reader.run(run).state is RunState.OPEN
    ]
    return [(run, dataset) for run, dataset in named if dataset != EMPTY_WORD]


def withdrawal(folder: Path, run: bytes) -> str:
    """Return the command that takes the consent to a run back."""
    return f"suture-node consent withdraw {shlex.quote(str(folder))} {run.hex()[:12]} --yes"
