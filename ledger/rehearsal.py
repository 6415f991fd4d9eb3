"""An outbox that sends nothing: every call is simulated on the newest state, priced and noted. Needs no key.

What a command shows before it asks, and all that it does with ``--dry-run``.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.chain.ports import Call, Sending
from ledger.fees import highest, limited, most_wei_per_gas
from ledger.outbox import Recovered
from ledger.records import EMPTY_WORD, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """One simulated call.

    Attributes:
        function: Name of the contract function, or of the contract that would be made.
        to: The contract, or None to make one.
        data: Call data or init code.
        gas: Gas limit that a transaction would offer.
        gas_price: Most that it would pay for a unit of gas.
    """

    function: str
    to: bytes | None
    data: bytes
    gas: int
    gas_price: int


class Rehearsal:
    """A :class:`ledger.outbox.Submitting` that only simulates.

    Args:
        connection: The chain.
        sender: Who would send, 20 bytes.

    Attributes:
        calls: What was simulated, in order.
    """

    def __init__(self, connection: Sending, sender: bytes) -> None:
        self._connection = connection
        self._sender = sender
        self.calls: list[Rehearsed] = []

    @property
    def sender(self) -> bytes:
        """The account, 20 bytes."""
        return self._sender

    def submit(self, intent: str, to: bytes | None, data: bytes, function: str) -> Receipt:
        """Simulate a call; the receipt names no transaction, and its gas is the estimate.

        Raises:
            Reverted: The contract would refuse.
            ChainUnreachable: The node does not answer.
        """
        call = Call(sender=self._sender, to=to, data=data, function=function)
        gas = self._connection.estimate_gas(call) * 12 // 10  # as the outbox offers
        price = highest(limited(self._connection.fees(), most_wei_per_gas()))
        self.calls.append(Rehearsed(function=function, to=to, data=data, gas=gas, gas_price=price))
        head = self._connection.head()
        return Receipt(tx_hash=EMPTY_WORD, block_number=head.number, block_hash=head.hash, gas_used=gas)

    def recover(self) -> tuple[Recovered, ...]:
        """There is nothing to finish."""
        return ()

    def usable(self, intent: str) -> str:
        """Nothing was sent, so nothing failed."""
        return intent

    def close(self) -> None:
        """There is no file."""
