"""The part of check 7 that asks the ledger: whether the data sets here are those that the holder's consents name."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from clients.node.doctor.patient import Finding, Patient, failure
from clients.node.house import ledger_at_hand
from clients.node.logbook import account_of
from fl_core.errors import SutureError
from ledger.address import open_ledger
from ledger.reader import LedgerReader
from ledger.records import EMPTY_WORD, RunState


def pledged(patient: Patient) -> dict[bytes, bytes]:
    """Return run -> commitment that the holder's consent to it names; empty where the ledger cannot be asked, as check 9 says."""
    try:
        address = ledger_at_hand(patient.folder)
        if address is None:
            return {}
        account, opened = account_of(patient.folder), open_ledger(address)
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


def changed_since(patient: Patient, pledges: dict[bytes, bytes], here: Collection[bytes]) -> list[Finding]:
    """Return a finding for each consent that names a data set which is not here: the node refuses the rounds of that run."""
    folder = shlex.quote(str(patient.folder))
    return [
        failure(
            f"The consent to the run {run.hex()[:12]} names a data set with the commitment {dataset.hex()[:16]}, and none here has it: "
            "records or salt were changed since, so the node refuses that run's rounds.",
            f"Bring the file back; or withdraw (suture-node consent withdraw {folder} {run.hex()[:12]} --yes) and consent anew, "
            "with the data as it is now.",
        )
        for run, dataset in pledges.items()
        if dataset not in here
    ]
