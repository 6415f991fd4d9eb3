"""The members' checkpoints in the public folder: which of them hold, and how far they vouch for the chain."""

from __future__ import annotations

from dataclasses import dataclass

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
    if run.chain is None:  # an external chain's own consensus vouches for it
        return Support(number=run.reader.head().number, signed=0, needed=0, witnesses=0)
    reading = ChainReading(run.chain)
    tally = Tally(reading, run.reader.address)
    folder = run.public.checkpoints
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            verdict, checkpoint = tally.judge(read_plain(path, CHECKPOINT_SIZE))
        except OSError:
            continue  # the seal refuses what is no plain file
        if verdict is not Verdict.VOUCHES or checkpoint is None or path.name != checkpoint.member.hex():
            path.unlink()
    head = reading.head().number
    signed, needed, witnesses = tally.support(head)
    return Support(number=head, signed=signed, needed=needed, witnesses=witnesses)
