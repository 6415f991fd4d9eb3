"""The chain of a public folder, read without web3 and without touching the folder.

The audit works on a copy of the database file: sqlite would put files of its own beside one that was not closed well, and
what is replayed must be what is read afterwards.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fl_core.errors import DecodeError
from ledger.chain.abi import Function, revert_reason
from ledger.chain.embedded import EmbeddedChain, open_embedded
from ledger.chain.embedded.evm import ExecutionFailed, Message
from ledger.chain.embedded.store import LogRow
from ledger.chain.ports import Log, Sent
from ledger.errors import Reverted, WrongChain
from ledger.files import open_plain
from ledger.papers import MAX_CHAIN_BYTES
from ledger.records import EMPTY_ADDRESS, Head

_PIECE = 1 << 20  # bytes copied at a time
_LOG_BLOCKS = 1_000
"""Blocks whose logs are in memory at a time."""
_LOG_ROWS = 2**31
"""Most log rows of these blocks: as many as their transactions wrote, which were executed again."""


def copy_chain(source: Path, folder: Path) -> Path:
    """Copy the chain in ``source`` into ``folder`` and return the copy.

    Raises:
        DecodeError: There is no such file, it cannot be read, or it is larger than :data:`ledger.papers.MAX_CHAIN_BYTES`.
    """
    target = folder / source.name
    try:
        with open_plain(source, MAX_CHAIN_BYTES) as file, target.open("wb") as copy:
            shutil.copyfileobj(file, copy, _PIECE)
    except OSError as error:
        raise DecodeError(f"the ledger cannot be read ({error.strerror})") from error
    return target


class FolderChain:
    """An embedded chain for :class:`ledger.reader.LedgerReader`; a :class:`ledger.chain.ports.Reading`.

    Args:
        path: The file.
        chain_id: Which chain it must be.

    Raises:
        LedgerError: It is no chain, another one, or damaged.
    """

    def __init__(self, path: Path, chain_id: int) -> None:
        self._chain: EmbeddedChain = open_embedded(path, chain_id=chain_id, read_only=True)
        self._hashes: dict[int, bytes] = {}

    def close(self) -> None:
        """Close the file."""
        self._chain.close()

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._chain.chain_id

    def head(self) -> Head:
        """Return the newest block."""
        header = self._chain.head()
        return Head(number=header.block_number, hash=bytes(header.hash), timestamp=header.timestamp)

    def block_hash(self, number: int) -> bytes | None:
        """Return the hash at a height, or None when there is no block."""
        if number not in self._hashes:
            header = self._chain.header(number)
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
        header = self._chain.head() if block is None else self._chain.header(block)
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
        last = min(last, self._chain.head().block_number)
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
        return bytes(self._chain.state(self._chain.head()).get_code(address))

    def transaction(self, tx_hash: bytes) -> Sent | None:
        """Return a transaction of a block, or None when there is none with this hash."""
        return self._chain.sent(tx_hash)
