"""The members' checkpoints in the public folder: which of them hold, and how far they vouch for the chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coordinator.context import RunContext
from ledger.chain.embedded.reading import ChainReading
from ledger.checkpoints import CHECKPOINT_SIZE
from ledger.files import read_plain
from ledger.finality import Tally, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """How many members vouch for the newest block.

    Attributes:
        number: Its height.
        signed: How many witnesses signed it.
        needed: How many make it final.
        witnesses: How many there are.
    """

    number: int
    signed: int
    needed: int
    witnesses: int


def collect_checkpoints(run: RunContext) -> Support:
    """Keep the checkpoints in the public folder that vouch for the chain, remove whatever else lies beside them.

    Called when no member leaves checkpoints any more.

    Returns:
        How far they vouch for the newest block.
    """
    good, support = vouching(run)
    folder = run.public.checkpoints
    for path in sorted(folder.iterdir()) if run.chain is not None and folder.is_dir() else []:
        if path.name not in good and _read(path) is not None:
            path.unlink()
    return support


def vouching(run: RunContext) -> tuple[dict[str, bytes], Support]:
    """Return the checkpoints in the public folder that vouch for the chain, by file name, and how far they do."""
    if run.chain is None:  # an external chain's own consensus vouches for it
        return {}, Support(number=run.reader.head().number, signed=0, needed=0, witnesses=0)
    reading = ChainReading(run.chain)
    tally, good = Tally(reading, run.reader.address), {}
    folder = run.public.checkpoints
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (data := _read(path)) is None:
            continue
        verdict, checkpoint = tally.judge(data)
        if verdict is Verdict.VOUCHES and checkpoint is not None and path.name == checkpoint.member.hex():
            good[path.name] = data
    head = reading.head().number
    signed, needed, witnesses = tally.support(head)
    return good, Support(number=head, signed=signed, needed=needed, witnesses=witnesses)


def _read(path: Path) -> bytes | None:
    """Return what is in a file; None for what is no plain file: the seal refuses it."""
    try:
        return read_plain(path, CHECKPOINT_SIZE)
    except OSError:
        return None
