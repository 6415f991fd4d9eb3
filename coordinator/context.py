"""Everything a run needs while it is in progress, opened from a run's folder on the coordinator's machine.

::

    FOLDER/
      public/              the public folder, see :mod:`ledger.papers`
      coordinator/         private: keystore, passphrase file, outbox, journal, events
      run.toml             which chain, contract and run; where the keys are
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from coordinator.errors import RunStateError
from coordinator.store.events import EventLog
from coordinator.store.journal import Journal
from fl_core.errors import InputError
from fl_core.protocol.terms import MAX_TERMS, Terms
from fl_core.randomness import RandomSource
from ledger.archive import Archive
from ledger.papers import MAX_PAPER, PublicFolder, RunPaper
from ledger.reader import LedgerReader
from ledger.signer import Signer
from ledger.writer import LedgerWriter

MAX_TRANSPORT_KEY = 4096  # bytes


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """An open run.

    Attributes:
        public: The public folder.
        archive: Its archive.
        reader: Reads the ledger.
        writer: Writes to the ledger as the coordinator.
        account: The coordinator's account; signs receipts.
        run: Run id.
        terms: The run's terms.
        names: Account -> name, for people.
        transport_keys: Account -> transport public key.
        journal: What was done.
        events: What people see.
        clock: Unix time in seconds.
        random: Fresh randomness.
    """

    public: PublicFolder
    archive: Archive
    reader: LedgerReader
    writer: LedgerWriter
    account: Signer
    run: bytes
    terms: Terms
    names: dict[bytes, str]
    transport_keys: dict[bytes, bytes]
    journal: Journal
    events: EventLog
    clock: Callable[[], int]
    random: RandomSource
