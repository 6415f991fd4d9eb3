"""What an interrupted command sent, when the same command is given again: it is done, and not sent a second time.

A person who ends a command while it waits for a block does not know whether it was done. The outbox does, and sees it through
(:meth:`ledger.outbox.Outbox.recover`). If that very call is what the person now asks for, its receipt is the answer. An intent alone
does not tell: some acts can be done any number of times (making tokens), and their intents differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ledger.outbox import Recovered
from ledger.records import EMPTY_WORD, Receipt
from ledger.writer import LedgerWriter

Send = Callable[[LedgerWriter, str], Receipt]
"""Makes one call with a writer, under an intent."""
Call = tuple[bytes | None, bytes]
"""Contract (None to make one), and call data or init code."""


@dataclass
class _Notes:
    """A :class:`ledger.outbox.Submitting` that notes what would be sent; it neither simulates nor sends."""

    sender: bytes
    calls: list[Call] = field(default_factory=list)

    def submit(self, intent: str, to: bytes | None, data: bytes, function: str) -> Receipt:
        """Note a call; the receipt is of nothing."""
        self.calls.append((to, data))
        return Receipt(tx_hash=EMPTY_WORD, block_number=0, block_hash=EMPTY_WORD, gas_used=0)

    def recover(self) -> tuple[Recovered, ...]:
        """There is nothing to finish."""
        return ()

    def usable(self, intent: str) -> str:
        """Nothing was sent, so nothing failed."""
        return intent

    def close(self) -> None:
        """There is no file."""


def done_already(
    sends: Iterable[Send], contract: bytes, sender: bytes, recovered: Iterable[Recovered]
) -> list[Receipt | None]:
    """Return, for each call, the receipt of the same call that an interrupted command sent; None where there is none.

    Args:
        sends: What a person asks for now, one call each.
        contract: The ledger's contract.
        sender: The account.
        recovered: What the outbox has just seen through.
    """
    left: dict[Call, list[Receipt]] = {}
    for one in recovered:
        if isinstance(one.outcome, Receipt):
            left.setdefault((one.target, one.data), []).append(one.outcome)
    found: list[Receipt | None] = []
    for send in sends:
        notes = _Notes(sender)
        send(LedgerWriter.through(contract, notes), "")
        (call,) = notes.calls
        found.append(left[call].pop(0) if left.get(call) else None)
    return found
