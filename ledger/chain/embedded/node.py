"""The embedded chain: one process writes, any number read, every transaction becomes a block at once.

:class:`EmbeddedChain` holds an open :class:`.store.Store` and answers in terms of headers, transactions and receipts;
:mod:`.provider` puts the JSON-RPC form around it, which :class:`ledger.chain.connection.Web3Connection` speaks.

Opening reads a handful of rows, however long the chain is. Every question looks at the newest block on disk, so a
reader in another process (or in this one) sees a block as soon as it was acknowledged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI, StateAPI
from eth.db.chain import ChainDB
from eth.exceptions import HeaderNotFound, TransactionNotFound
from eth.vm.forks import ShanghaiVM
from rlp.exceptions import RLPException

from fl_core.errors import LocalProtocolError
from ledger.chain.embedded import evm
from ledger.chain.embedded.database import ReadFace
from ledger.chain.embedded.store import LogRow, Store
from ledger.chain.ports import Sent
from ledger.errors import StoreCorrupt

Clock = Callable[[], int]
"""Gives the time in Unix seconds."""


class Node:
    """An open chain; :class:`.provider.EmbeddedChain` adds the JSON-RPC form.

    Args:
        store: The open file; closed by :meth:`close`.
        genesis: What fixes the chain.
        clock: Time of new blocks.
    """

    def __init__(self, store: Store, genesis: evm.Genesis, clock: Clock) -> None:
        self.genesis = genesis
        self._store = store
        self._clock = clock
        self._mutex = threading.RLock()
        self._db = ChainDB(ReadFace(store.get))
        self._head: BlockHeaderAPI | None = None
        self._view: tuple[bytes, StateAPI] | None = None

    # ---------------------------------------------------------------- life
    @property
    def path(self) -> Path:
        """The file."""
        return self._store.path

    @property
    def read_only(self) -> bool:
        """Whether this handle refuses transactions."""
        return self._store.read_only

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self.genesis.chain_id

    def close(self) -> None:
        """Close the file; a writer leaves everything in that one file."""
        with self._mutex:
            self._store.close()

    def copy_to(self, target: Path) -> None:
        """Write a sealed copy of the chain to a new file (see :meth:`.store.Store.copy_to`)."""
        self._store.copy_to(target)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------- blocks
    def head(self) -> BlockHeaderAPI:
        """Return the header of the newest block on disk."""
        with self._mutex:
            digest = self._store.get(evm.HEAD_KEY)
            if digest is None:
                raise StoreCorrupt(f"{self.path} has no newest block.", fix="Restore a copy of the chain.")
            if self._head is None or self._head.hash != digest:
                self._head = self._db.get_block_header_by_hash(digest)
            return self._head

    def header(self, number: int) -> BlockHeaderAPI | None:
        """Return the header at a height, or None beyond the newest block."""
        try:
            return self._db.get_canonical_block_header_by_number(number)
        except HeaderNotFound:
            return None

    def header_by_hash(self, digest: bytes) -> BlockHeaderAPI | None:
        """Return the header with a hash, or None."""
        try:
            return self._db.get_block_header_by_hash(digest)
        except (HeaderNotFound, RLPException, ValueError):  # other things are stored under hashes, too
            return None

    def raw_header(self, digest: bytes) -> bytes:
        """Return the RLP of the header with a hash.

        Raises:
            StoreCorrupt: There is none.
        """
        raw = self._store.get(digest)
        if raw is None:
            raise StoreCorrupt(f"{self.path} lacks a header.", fix="Restore a copy of the chain.")
        return raw

    def transactions(self, header: BlockHeaderAPI) -> tuple[SignedTransactionAPI, ...]:
        """Return the transactions of a block: none in the genesis, one in every other."""
        return tuple(self._db.get_block_transactions(header, ShanghaiVM.get_transaction_builder()))

    def find(self, tx_hash: bytes) -> tuple[BlockHeaderAPI, SignedTransactionAPI, ReceiptAPI] | None:
        """Return block, transaction and receipt of a transaction, or None."""
        try:
            number, index = self._db.get_transaction_index(tx_hash)
        except TransactionNotFound:
            return None
        header = self._db.get_canonical_block_header_by_number(number)
        receipt = self._db.get_receipt_by_index(number, index, ShanghaiVM.get_receipt_builder())
        return header, self.transactions(header)[index], receipt

    def sent(self, tx_hash: bytes) -> Sent | None:
        """Return a transaction as its sender signed it, or None."""
        found = self.find(tx_hash)
        return None if found is None else evm.sent(found[1])

    def logs(
        self, first: int, last: int, addresses: Sequence[bytes], topics: Sequence[Sequence[bytes]], limit: int
    ) -> list[LogRow]:
        """Return rows of the log index (see :meth:`.store.Store.logs`)."""
        return self._store.logs(first, last, addresses, topics, limit)

    # ---------------------------------------------------------------- writing
    def submit(self, raw: bytes) -> bytes:
        """Execute a signed transaction and put its block on disk; when this returns the block is durable.

        Returns:
            The transaction's hash. A transaction that reverts is in a block as well; its receipt says so.

        Raises:
            evm.InvalidTransaction: It cannot be in a block; nothing changed.
            LocalProtocolError: The chain is open for reading only.
        """
        with self._mutex:
            if self.read_only:
                raise LocalProtocolError("this chain is open for reading only")
            transaction = evm.decode_transaction(raw, self.chain_id)
            if self.find(transaction.hash) is not None:
                raise evm.InvalidTransaction("already known")
            timestamp = max(self._clock(), self.head().timestamp + 1)
            sealed = evm.seal(self._store.get, self.chain_id, transaction, timestamp)
            self._store.commit(sealed.writes, sealed.log_rows())
            self._head = sealed.header
            return bytes(transaction.hash)

    # ---------------------------------------------------------------- looking
    def state(self, header: BlockHeaderAPI) -> StateAPI:
        """Return the state after a block; the newest one is kept for the next question."""
        with self._mutex:
            if self._view is None or self._view[0] != header.hash:
                self._view = (header.hash, evm.state_of(self._store.get, self.chain_id, header))
            return self._view[1]

    def call(self, message: evm.Message, header: BlockHeaderAPI) -> bytes:
        """Execute a call on the state after a block, in that block's context.

        Raises:
            evm.ExecutionFailed: It reverted or ran out of gas.
        """
        with self._mutex:
            return evm.execute(self.state(header), message, self.chain_id).output

    def code(self, address: bytes, header: BlockHeaderAPI) -> bytes:
        """Return the code at an address after a block; empty when there is none."""
        with self._mutex:
            return bytes(self.state(header).get_code(address))

    def estimate(self, message: evm.Message) -> int:
        """Execute a transaction as the next block would and return a gas limit that suffices.

        Raises:
            evm.ExecutionFailed: It would revert.
        """
        with self._mutex:
            head = self.head()
            coming = evm.next_header(head, max(self._clock(), head.timestamp + 1))
            state = evm.state_of(self._store.get, self.chain_id, coming)
            return evm.sufficient_gas(evm.execute(state, message, self.chain_id).gas_used)

    def proof_database(self) -> ReadFace:
        """Return the trie nodes, for :mod:`.proof`."""
        return ReadFace(self._store.get)
