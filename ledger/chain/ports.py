"""What the rest of the package may ask a chain, and the values it gets: no web3, no EVM in sight.

:class:`Reading` is for :class:`ledger.reader.LedgerReader`, :class:`Sending` for :class:`ledger.outbox.Outbox`;
:class:`ledger.chain.connection.Web3Connection` is both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ledger.chain.abi import Function
from ledger.chain.jsonrpc import Json
from ledger.records import Head

Waiting = Callable[[str, float], None]
"""Told before each pause, once a node or a block has been waited for rather long: what is wrong, and for how many seconds."""


def say_nothing(reason: str, seconds: float) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call, before anybody signs it.

    Attributes:
        sender: Who calls, 20 bytes.
        to: The contract, 20 bytes; None makes a new one.
        data: Call data or init code.
        function: Name for messages.
    """

    sender: bytes
    to: bytes | None
    data: bytes
    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """A transaction in a block.

    Attributes:
        tx_hash: The transaction.
        block_number: Its block.
        block_hash: That block's hash.
        gas_used: What it cost.
        succeeded: False when it reverted.
        contract: Address of the contract it made, or None.
    """

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int
    succeeded: bool
    contract: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A transaction as its sender signed it.

    Attributes:
        sender: Who signed it, 20 bytes.
        nonce: How many transactions of the sender came before it.
        to: Which contract it calls, 20 bytes; None when it creates one.
        data: Call data, or the creation's code and arguments.
    """

    sender: bytes
    nonce: int
    to: bytes | None
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One log as the chain has it."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    tx_hash: bytes
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What to offer for gas: either ``gas_price``, or the two values of EIP-1559."""

    gas_price: int | None = None
    max_fee: int = 0
    tip: int = 0

    def fields(self) -> dict[str, int]:
        """Return the fields of a transaction."""
        if self.gas_price is not None:
            return {"gasPrice": self.gas_price}
        return {"maxFeePerGas": self.max_fee, "maxPriorityFeePerGas": self.tip}


class Reading(Protocol):
    """What a reader asks."""

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        ...

    def head(self) -> Head:
        """Return the newest block."""
        ...

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash at a height, or None when there is no block."""
        ...

    def call(
        self, address: bytes, function: Function, *arguments: object, block: int | None = None
    ) -> tuple[Any, ...]:
        """Ask a view, at the newest block or at a height; the results are of the function's output types."""
        ...

    def logs(self, address: bytes, topics: Sequence[bytes | None], first: int, last: int) -> Iterator[Log]:
        """Yield the logs of one contract in blocks ``first`` to ``last``, in order."""
        ...

    def code(self, address: bytes) -> bytes:
        """Return the code at an address; empty when there is none."""
        ...

    def transaction(self, tx_hash: bytes) -> Sent | None:
        """Return a transaction of a block, or None when there is none with this hash."""
        ...


class Sending(Protocol):
    """What the outbox asks."""

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        ...

    def head(self) -> Head:
        """Return the newest block."""
        ...

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash at a height, or None when there is no block."""
        ...

    def estimate_gas(self, call: Call) -> int:
        """Simulate a call as a transaction and return a gas limit."""
        ...

    def revert_reason(self, call: Call, block: int) -> str:
        """Return why a call fails on the state after a block, or an empty string."""
        ...

    def nonce(self, address: bytes) -> int:
        """Return how many transactions of an account are in blocks."""
        ...

    def fees(self) -> Fees:
        """Return what to offer for gas now."""
        ...

    def send_raw(self, raw: bytes) -> None:
        """Hand signed bytes to the node."""
        ...

    def receipt(self, tx_hash: bytes) -> Mined | None:
        """Return where a transaction is, or None while it is in no block."""
        ...


class Proving(Protocol):
    """What a light verification asks: words of a node, to be checked (:mod:`ledger.light`)."""

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        ...

    def raw_block(self, number: int | None) -> Json | None:
        """Return a block (the newest when None) as the node describes it, or None when it shows none."""
        ...

    def raw_proof(self, address: bytes, slots: Sequence[int], number: int) -> Json:
        """Return the node's answer to ``eth_getProof`` for the state after a block."""
        ...

    def raw_transactions(self, number: int) -> list[Json]:
        """Return the transactions of a block as the node describes them, in full."""
        ...

    def raw_receipts(self, number: int) -> list[Json]:
        """Return the node's answer to ``eth_getBlockReceipts``."""
        ...

    def logs(self, address: bytes, topics: Sequence[bytes | None], first: int, last: int) -> Iterator[Log]:
        """Yield the logs of one contract in blocks ``first`` to ``last``, in order."""
        ...


class Connection(Reading, Sending, Protocol):
    """Everything: what :class:`ledger.reader.LedgerReader` and :class:`ledger.writer.LedgerWriter` take."""


class RpcHandler(Protocol):
    """Answers JSON-RPC requests in this process, as the embedded chain does."""

    def request(self, method: str, params: Sequence[object]) -> dict[str, object]:
        """Return ``{"result": ...}`` or ``{"error": {...}}``."""
        ...
