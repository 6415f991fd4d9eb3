"""Where a follower's blocks come from: the one thing it asks, and the answer from a chain file on the same machine.

A service that hands out blocks over a network implements :class:`BlockSource` on the asking side, with
:func:`.block.write_stream` and :func:`.block.read_stream` in between. Nothing that a source says is believed.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from eth.abc import BlockHeaderAPI

from ledger.chain.embedded import evm
from ledger.chain.embedded.block import MAX_BLOCKS_ASKED, WireBlock
from ledger.chain.embedded.node import Node
from ledger.chain.embedded.store import Store
from ledger.errors import StoreCorrupt

_FIRST_LOOK_S, _LAST_LOOK_S, _GROWTH = 0.005, 0.025, 1.2
"""Pauses between two looks at a file for a new block: they grow, so that waiting costs next to nothing."""
_READ_ANYWAY_S = 0.2
"""A file whose stamps stay the same is read this often all the same, in seconds."""
_Stamps = tuple[int, int, int]


class BlockSource(Protocol):
    """Gives the blocks of one chain."""

    def blocks(self, first: int, limit: int, *, wait_s: float = 0.0) -> Iterator[bytes]:
        """Yield encoded blocks (:mod:`.block`) from height ``first`` on, in order; none when there is no block ``first``.

        Args:
            first: Height of the first one.
            limit: Most blocks to yield, from 1 to :data:`.block.MAX_BLOCKS_ASKED`.
            wait_s: While ``first`` is the newest block, or not there yet, wait this many seconds for a newer one.

        Raises:
            ChainUnreachable: It cannot be asked now; asking again later is right.
            LedgerError: It cannot be asked at all.
        """
        ...


class FileSource:
    """Reads a chain file beside its writer; a :class:`BlockSource`. Safe for threads.

    Args:
        path: The file.

    Raises:
        InputError: There is no such file.
        LedgerError: It is no chain, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self._watched = f"{path}-wal", str(path)
        self._store = Store.open_reader(path)
        found = self._store.genesis()
        if found is None:
            self._store.close()
            raise StoreCorrupt(f"The chain {path} has no block yet.", fix="Try again when it has.")
        genesis = evm.Genesis(chain_id=found[0], timestamp=found[1])
        self._node = Node(self._store, genesis, lambda: 0)
        self._closed = threading.Event()
        self._newest: tuple[int, bytes] | None = None
        self._seen: tuple[_Stamps, float, BlockHeaderAPI] | None = None

    def close(self) -> None:
        """Close the file; somebody who waits gets nothing more."""
        self._closed.set()
        self._store.close()

    def blocks(self, first: int, limit: int, *, wait_s: float = 0.0) -> Iterator[bytes]:
        """Yield encoded blocks; see :class:`BlockSource`."""
        deadline, pause = time.monotonic() + wait_s, _FIRST_LOOK_S
        head = self._node.head()
        while head.block_number <= first and time.monotonic() < deadline and not self._closed.wait(pause):
            head, pause = self._look(), min(pause * _GROWTH, _LAST_LOOK_S)
        last = min(int(head.block_number), first + min(limit, MAX_BLOCKS_ASKED) - 1)
        for number in range(first, last + 1):
            yield self._encoded(number, head)

    def _look(self) -> BlockHeaderAPI:
        """Return the newest block's header for one who waits: reads the file only if its stamps changed, or after a while.

        A clock of coarse ticks may give two blocks one stamp. The second one is seen late then.
        """
        stamps, now = self._stamps(), time.monotonic()
        if self._seen is None or self._seen[0] != stamps or now > self._seen[1]:
            self._seen = stamps, now + _READ_ANYWAY_S, self._node.head()
        return self._seen[2]

    def _stamps(self) -> _Stamps:
        """Return size and time of the file's write-ahead log, where new blocks go; of the file if there is none."""
        for path in self._watched:
            with suppress(FileNotFoundError):
                found = os.stat(path)
                return found.st_ino, found.st_size, found.st_mtime_ns
        return 0, 0, 0

    def _encoded(self, number: int, head: BlockHeaderAPI) -> bytes:
        """Return a block; the newest is kept, since it is asked for again and again."""
        if self._newest is not None and self._newest[0] == number == head.block_number:
            return self._newest[1]
        header = head if number == head.block_number else self._node.header(number)
        if header is None:
            raise StoreCorrupt(f"{self._node.path} lacks block {number}.", fix="Restore a copy of the chain.")
        encoded = encode_block(self._node, header)
        if number == head.block_number:
            self._newest = number, encoded
        return encoded


def encode_block(chain: Node, header: BlockHeaderAPI) -> bytes:
    """Return a block of an open chain in its wire form."""
    raw = chain.raw_header(bytes(header.hash))
    transactions = chain.transactions(header)
    return WireBlock(header=raw, transaction=transactions[0].encode() if transactions else b"").encode()
