"""Where a party's copy of an embedded chain stands, read beside the node that writes it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ledger.chain.embedded import open_embedded
from ledger.chain.embedded.reading import ChainReading
from ledger.checkpoints import CheckpointBoard
from ledger.errors import StoreCorrupt
from ledger.finality import Tally
from ledger.misconduct import EvidenceFolder
from ledger.records import Head

COPY, SIGNED, SEEN, EVIDENCE = "ledger.sqlite", "signed.sqlite", "seen", "evidence"
"""What lies in a party's folder, see :mod:`ledger.following`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a party's copy stands.

    Attributes:
        head: Its newest block.
        final: Height of the newest final block; -1 when there is none.
        signed: Height of the newest block that the party signed; -1 when there is none.
        evidence: How many cases of somebody's two histories are kept.
    """

    head: Head
    final: int
    signed: int
    evidence: int


def read_standing(
    folder: Path, *, chain_id: int, contract: bytes, board: CheckpointBoard, wanted: int = 0
) -> Standing | None:
    """Read where the copy in ``folder`` stands; None when there is no copy yet.

    Args:
        folder: The party's folder.
        chain_id: The chain.
        contract: The ledger's contract, 20 bytes.
        board: Where members' checkpoints are.
        wanted: How many checkpoints make a head final, see :func:`ledger.finality.signatures_needed`.

    Raises:
        LedgerError: The copy or what was signed cannot be read.
    """
    if not (folder / COPY).is_file():
        return None
    disgraced = {bytes.fromhex(p.party) for p in EvidenceFolder(folder / EVIDENCE).papers() if p.party}
    with open_embedded(folder / COPY, chain_id=chain_id, read_only=True) as chain:
        reading = ChainReading(chain)
        tally = Tally(reading, contract, wanted=wanted)
        tally.disgraced |= disgraced
        for data in board.checkpoints():
            tally.judge(data)
        return Standing(
            head=reading.head(),
            final=tally.final(),
            signed=_signed(folder / SIGNED),
            evidence=len(EvidenceFolder(folder / EVIDENCE).files()),
        )


def _signed(path: Path) -> int:
    if not path.is_file():
        return -1
    try:
        # a file that nobody has open is read as it lies there: else sqlite leaves files beside it
        mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
        connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?{mode}", uri=True)
        try:
            row = connection.execute("SELECT max(number) FROM signed").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreCorrupt(f"{path} cannot be read ({error}).") from error
    return -1 if row[0] is None else int(row[0])
