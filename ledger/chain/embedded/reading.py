"""Reads an embedded chain that is open in this process, without web3: what a node's reader and the audit's take.

A reading can end at a height below the newest block, its *horizon*: then nothing beyond it exists for whoever reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from eth.abc import BlockHeaderAPI

from fl_core.errors import DecodeError
from ledger.chain.abi import Function, revert_reason
from ledger.chain.embedded.evm import ExecutionFailed, Message
from ledger.chain.embedded.node import Node
from ledger.chain.embedded.store import LogRow
from ledger.chain.ports import Log, Sent
from ledger.errors import Reverted, WrongChain
from ledger.records import EMPTY_ADDRESS, Head

_LOG_BLOCKS = 1_000
"""Blocks whose logs are in memory at a time."""
_LOG_ROWS = 2**31
"""Most log rows of these blocks: as many as their transactions wrote."""


class ChainReading:
    """A :class:`ledger.chain.ports.Reading` of an open chain.

    Args:
        chain: The chain.
        horizon: Returns the height at which the reading ends now; by default there is no such end. It may rise, never fall.
    """

    def __init__(self, chain: Node, horizon: Callable[[], int] | None = None) -> None:
        self._chain = chain
        self._horizon = horizon
        self._hashes: dict[int, bytes] = {}

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._chain.chain_id

    def _head(self) -> BlockHeaderAPI:
        newest = self._chain.head()
        if self._horizon is None or (last := self._horizon()) >= newest.block_number:
            return newest
        header = self._chain.header(last)
        if header is None:
            raise WrongChain(f"The chain has no block {last}.")
        return header

    def head(self) -> Head:
        """Return the newest block."""
        header = self._head()
        return Head(number=header.block_number, hash=bytes(header.hash), timestamp=header.timestamp)

    def _header(self, number: int) -> BlockHeaderAPI | None:
        beyond = self._horizon is not None and number > self._horizon()
        return None if beyond else self._chain.header(number)

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash at a height, or None when there is no block."""
        if number not in self._hashes:
            header = self._header(number)
            if header is None:
                return None
            self._hashes[number] = bytes(header.hash)
        return self._hashes[number]

    def call(
        self, address: bytes, function: Function, *arguments: object, block: int | None = None
    ) -> tuple[Any, ...]:
        """Ask a view; see :class:`ledger.chain.ports.Reading`.

        Raises:
            Reverted: The contract refused.
            WrongChain: There is no such block, or no contract at the address.
            DecodeError: The answer is not what the function returns.
        """
        header = self._head() if block is None else self._header(block)
        if header is None:
            raise WrongChain(f"The chain has no block {block}.")
        message = Message(sender=EMPTY_ADDRESS, to=address, data=function.call_data(*arguments))
        try:
            output = self._chain.call(message, header)
        except ExecutionFailed as error:
            raise Reverted(function.name, revert_reason(error.output) or error.message) from error
        if not output and function.outputs:
            raise WrongChain(f"There is no contract with {function.name} at 0x{address.hex()}.")
        return function.results(output)

    def logs(self, address: bytes, topics: Sequence[bytes | None], first: int, last: int) -> Iterator[Log]:
        """Yield the logs of one contract in blocks ``first`` to ``last``, in order."""
        wanted = [[] if topic is None else [topic] for topic in topics]
        last = min(last, self._head().block_number)
        for start in range(first, last + 1, _LOG_BLOCKS):
            end = min(start + _LOG_BLOCKS - 1, last)
            for row in self._chain.logs(start, end, [address], wanted, _LOG_ROWS):
                yield self._log(row)

    def _log(self, row: LogRow) -> Log:
        block_hash = self.block_hash(row.block)
        if block_hash is None:
            raise DecodeError(f"the log index names block {row.block}, which is not on the chain")
        topics = (row.topic0, row.topic1, row.topic2, row.topic3)
        return Log(
            address=row.address,
            topics=tuple(topic for topic in topics if topic is not None),
            data=row.data,
            block_number=row.block,
            block_hash=block_hash,
            tx_hash=row.tx,
            position=row.position,
        )

    def code(self, address: bytes) -> bytes:
        """Return the code at an address; empty when there is none."""
        return self._chain.code(address, self._head())

    def transaction(self, tx_hash: bytes) -> Sent | None:
        """Return a transaction of a block, or None when there is none with this hash."""
        found = self._chain.find(tx_hash)
        if found is None or (self._horizon is not None and found[0].block_number > self._horizon()):
            return None
        return self._chain.sent(tx_hash)
