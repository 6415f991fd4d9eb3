"""A copy of an embedded chain that its owner made by executing every block: a follower trusts no author's word.

The transactions and the times of the blocks come from a :class:`.source.BlockSource`; everything else must follow from them
(:func:`.evm.seal`, as in :mod:`.replay`). Each block is one disk transaction of the copy: a crash leaves it as a whole or
not at all, and the next start goes on behind it. Blocks that are there already are never executed again.

What a follower cannot know: whether there are blocks that the source keeps back, and whether others are shown the same ones.
The second is what checkpoints are for (:mod:`ledger.checkpoints`).
"""

from __future__ import annotations

import threading
from pathlib import Path

from eth.abc import BlockHeaderAPI, SignedTransactionAPI

from fl_core.errors import DecodeError, InputError, VerificationError
from ledger.chain.embedded import evm
from ledger.chain.embedded.block import MAX_BLOCKS_ASKED, WireBlock
from ledger.chain.embedded.executed import ExecutedBlocks
from ledger.chain.embedded.node import Node
from ledger.chain.embedded.replay import Admit
from ledger.chain.embedded.source import BlockSource, encode_block
from ledger.chain.embedded.store import Store
from ledger.errors import BlockRefused, HistoryRewritten, HistoryRolledBack, WrongChain

_COMPARED_FIELDS = (
    "coinbase", "extra_data", "difficulty", "gas_limit", "base_fee_per_gas", "transaction_root", "gas_used", "state_root",
    "receipt_root", "bloom", "hash",
)  # fmt: skip


class Follower:
    """One party's own copy; the only writer of its file. Safe for threads.

    Args:
        path: The file; made when it is new, with the first block that is taken.
        chain_id: Which chain it must be.
        admit: Says which transactions may be in the chain; by default all that a block can hold. It is asked before a
            transaction is executed.
        executed: Where results are shared with other followers in this process; by default with none.

    Raises:
        ChainBusy: Another follower has the file.
        WrongChain: It is another chain.
        StoreCorrupt: The file is damaged.
    """

    def __init__(
        self,
        path: Path,
        *,
        chain_id: int,
        admit: Admit | None = None,
        executed: ExecutedBlocks | None = None,
    ) -> None:
        self._chain_id = chain_id
        self._admit = admit
        self._executed = executed or ExecutedBlocks(kept=0)
        self._mutex = threading.RLock()
        self._store = Store.open_writer(path)
        self._node: Node | None = None
        try:
            self._open()
        except BaseException:
            self._store.close()
            raise

    def _open(self) -> None:
        found = self._store.genesis()
        if found is None:
            return
        if found[0] != self._chain_id:
            raise WrongChain(
                f"The copy {self._store.path} is of chain {found[0]}, not {self._chain_id}.",
                fix="Give the right folder or the right chain id.",
            )
        self._node = Node(self._store, evm.Genesis(chain_id=found[0], timestamp=found[1]), lambda: 0)

    @property
    def chain(self) -> Node | None:
        """The copy, for reading; None before block 0 came."""
        return self._node

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._store.close()

    # ---------------------------------------------------------------- fetching
    def catch_up(self, source: BlockSource) -> int:
        """Take all blocks that ``source`` has beyond the copy's newest, and return how many these are.

        The copy's newest block is asked for again each time: a source that rewrote or lost it is noticed.

        Raises:
            HistoryRewritten: The source has another block where the copy has one.
            HistoryRolledBack: The source ends below the copy.
            BlockRefused: A block does not continue the copy; those before it were taken.
            ChainUnreachable: The source cannot be asked now.
        """
        with self._mutex:
            taken = 0
            while True:
                found = self._fetch(source)
                taken += found
                if found < MAX_BLOCKS_ASKED - 1:
                    return taken

    def _fetch(self, source: BlockSource) -> int:
        """Ask once; take what comes."""
        head = None if self._node is None else self._node.head()
        first, count = 0 if head is None else int(head.block_number), 0
        for data in source.blocks(first, MAX_BLOCKS_ASKED):
            if count == MAX_BLOCKS_ASKED:
                raise BlockRefused(first + count, 1, "more blocks came than were asked for")
            if head is not None and count == 0:
                self._expect_same(source, head, data)
            else:
                self.take(data)
            count += 1
        if head is not None and count == 0:
            assert self._node is not None
            newest = _newest(source, first)
            raise HistoryRolledBack(first, encode_block(self._node, head), bytes(head.hash), newest)
        return count - (head is not None)

    def _expect_same(self, source: BlockSource, head: BlockHeaderAPI, data: bytes) -> None:
        """Check that a source's block is the copy's newest; if not, find where the two histories part."""
        assert self._node is not None
        if self._block(int(head.block_number), data).hash == head.hash:
            return
        low, high, theirs = 0, int(head.block_number), data  # they differ at `high`
        while low < high:
            middle = (low + high) // 2
            found = next(iter(source.blocks(middle, 1)), None)
            if found is not None and self._block(middle, found).hash == self._header(middle).hash:
                low = middle + 1
            elif found is None:
                break
            else:
                high, theirs = middle, found
        ours = self._header(high)
        hashes = bytes(ours.hash), WireBlock.decode(theirs).hash
        raise HistoryRewritten(high, encode_block(self._node, ours), theirs, hashes)

    def _header(self, number: int) -> BlockHeaderAPI:
        assert self._node is not None
        header = self._node.header(number)
        assert header is not None, "the copy has every block up to its newest"
        return header

    # ---------------------------------------------------------------- one block
    def take(self, data: bytes) -> None:
        """Take the next block; it is on disk when this returns.

        Obligations, in order:

        1. It is a block in its wire form, of bounded size.
        2. Its height is the next one: no gap, no block twice.
        3. Its parent is the newest block of the copy.
        4. Its transaction is one for this chain, in its canonical form, that has a place here.
        5. Executing that transaction at the block's time gives the block: state, receipts, logs and hash.

        Raises:
            BlockRefused: The first obligation that is not met; nothing changed.
        """
        with self._mutex:
            head = None if self._node is None else self._node.head()
            number = 0 if head is None else int(head.block_number) + 1
            block = self._block(number, data)
            header = block.parsed()
            if header.block_number != number:
                raise BlockRefused(number, 2, f"block {header.block_number} came")
            if head is None:
                self._begin(block, header)
                return
            if header.parent_hash != head.hash:
                raise BlockRefused(number, 3, f"its parent is 0x{header.parent_hash.hex()}")
            self._execute(header, self._transaction(number, block.transaction))

    def _block(self, number: int, data: bytes) -> WireBlock:
        try:
            return WireBlock.decode(data)
        except DecodeError as error:
            raise BlockRefused(number, 1, error.message) from error

    def _begin(self, block: WireBlock, header: BlockHeaderAPI) -> None:
        """Make the copy with block 0, which follows from chain id and time alone."""
        try:
            genesis = evm.Genesis(chain_id=self._chain_id, timestamp=int(header.timestamp))
        except InputError as error:
            raise BlockRefused(0, 5, error.message) from error
        writes = evm.genesis_writes(genesis)
        if writes[evm.HEAD_KEY] != block.hash:
            raise BlockRefused(0, 5, "it does not follow from chain id and time")
        self._store.create(self._chain_id, genesis.timestamp, writes)
        self._node = Node(self._store, genesis, lambda: 0)

    def _transaction(self, number: int, raw: bytes) -> SignedTransactionAPI:
        try:
            transaction = evm.decode_transaction(raw, self._chain_id)
            if self._admit is not None:
                self._admit(evm.sent(transaction))
        except (evm.InvalidTransaction, VerificationError) as error:
            raise BlockRefused(number, 4, error.message) from error
        return transaction

    def _execute(self, header: BlockHeaderAPI, transaction: SignedTransactionAPI) -> None:
        number = int(header.block_number)
        try:
            sealed = self._executed.seal(
                self._store.get, self._chain_id, bytes(header.parent_hash), transaction, int(header.timestamp)
            )
        except evm.InvalidTransaction as error:
            raise BlockRefused(number, 5, error.message) from error
        for field in _COMPARED_FIELDS:
            if getattr(sealed.header, field) != getattr(header, field):
                raise BlockRefused(number, 5, f"{field} differs")
        self._store.commit(sealed.writes, sealed.log_rows())


def _newest(source: BlockSource, below: int) -> int:
    """Return the height of a source's newest block, which is less than ``below``; -1 when it gives none."""
    low, high = -1, below
    while high - low > 1:
        middle = (low + high) // 2
        if next(iter(source.blocks(middle, 1)), None) is None:
            high = middle
        else:
            low = middle
    return low
