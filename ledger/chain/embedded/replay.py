"""Execute every block of a chain file again, in memory, and compare everything the file says with the outcome.

The transactions and the times of the blocks are taken from the file; everything else must follow from them. Numbered
checks, in order:

1. sqlite finds no damage in pages and indices, the tables are exactly ours, and no value is longer than a block can make;
2. the genesis parameters are the ones given, and block 0 follows from them;
3. every block from 1 to the newest follows the one before it, holds one transaction that the caller admits, and has the
   roots, gas and hash that executing it gives;
4. the rows of the log index are exactly the logs of the receipts;
5. the key-value table holds exactly the entries that these blocks wrote: no altered node, no second canonical block,
   nothing that is not there for a reason.

What replay cannot know is whether these are the blocks that everybody else saw: a history that was rewritten from
some block on, and executed honestly, is a valid history. Compare :attr:`ReplayReport.head_hash` with a checkpoint that
members signed, or with other members' copies.

Nothing of a file is followed before it was compared with what leads to it, and no more of it is read than one honest block
has: a file cannot make the pass longer than its transactions do. How long these take is bounded by their gas (30 million
each); a caller that admits calls of known contracts only bounds it by what those contracts do.

Memory: all entries of the chain are held once (about 10 kilobytes a block).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

import rlp
from eth.abc import BlockHeaderAPI
from eth.db.chain import ChainDB
from eth.exceptions import PyEVMError
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException
from trie import HexaryTrie
from trie.exceptions import MissingTraversalNode, MissingTrieNode

from fl_core.errors import InputError, VerificationError
from ledger.chain.embedded import evm
from ledger.chain.embedded.database import ReadFace
from ledger.chain.embedded.store import LogRow, Store
from ledger.chain.ports import Sent
from ledger.errors import ForeignTransaction, ReplayMismatch, StoreCorrupt

_T = TypeVar("_T")
Progress = Callable[[int, int], None]
"""Told after each block: its number, and the number of the newest one."""
Admit = Callable[[Sent], None]
"""Given each transaction before it is executed; raises :class:`fl_core.errors.VerificationError` to refuse it."""

MAX_VALUE = 1 << 22
"""Bytes of the longest entry: 30 million gas write less than 3.75 megabytes into one receipt, and code is far shorter."""
_FIRST, _SECOND = rlp.encode(0), rlp.encode(1)
"""Keys of a block's transactions in its trie."""
_COMPARED_FIELDS = (
    "parent_hash", "block_number", "timestamp", "coinbase", "extra_data", "state_root", "transaction_root",
    "receipt_root", "gas_used", "gas_limit", "bloom", "base_fee_per_gas", "hash",
)  # fmt: skip
_MALFORMED = (
    RLPException, ValidationError, PyEVMError, MissingTrieNode, MissingTraversalNode, evm.InvalidTransaction, InputError,
    KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
"""What py-evm and rlp raise over stored bytes that were tampered with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What was found to be sound.

    Attributes:
        genesis_hash: Hash of block 0.
        head_number: Height of the newest block.
        head_hash: Its hash.
        logs: How many logs the blocks emitted.
    """

    genesis_hash: bytes
    head_number: int
    head_hash: bytes
    logs: int


def replay(
    path: Path,
    *,
    chain_id: int,
    genesis_time: int | None = None,
    genesis_hash: bytes | None = None,
    progress: Progress | None = None,
    admit: Admit | None = None,
) -> ReplayReport:
    """Re-execute the chain in ``path``.

    Args:
        path: The file; a writer may be at work, the blocks present at the start are checked.
        chain_id: The chain it must be.
        genesis_time: The time that block 0 must have, when known.
        genesis_hash: The hash that block 0 must have, when known.
        progress: Told after each block.
        admit: Says which transactions may be in the chain; by default all that a block can hold.

    Raises:
        ReplayMismatch: Something differs, or the file is damaged; names block and field.
        ForeignTransaction: A transaction was not admitted.
        InputError: There is no such file.
        WrongChain: The file is not a chain of this version.
    """
    with _damage_is_mismatch():
        store = Store.open_reader(Path(path))
    try:
        with _damage_is_mismatch():
            return _Replay(store, chain_id, progress, admit).run(genesis_time, genesis_hash)
    finally:
        store.close()


class _Replay:
    """One pass over one file."""

    def __init__(self, store: Store, chain_id: int, progress: Progress | None, admit: Admit | None) -> None:
        self._store = store
        self._chain_id = chain_id
        self._progress = progress
        self._admit = admit
        self._stored = ChainDB(ReadFace(store.get))
        self._entries: dict[bytes, bytes] = {}
        self._logs: list[LogRow] = []

    def run(self, genesis_time: int | None, genesis_hash: bytes | None) -> ReplayReport:
        """Perform the checks of the module docstring."""
        with self._store.snapshot():
            findings = self._store.check_integrity()  # (1)
            if findings:
                raise ReplayMismatch(0, f"the database file (sqlite: {findings})")
            if self._store.longest_value() > MAX_VALUE:
                raise ReplayMismatch(0, "the database file (it holds a value longer than any block writes)")
            genesis = self._check_genesis(genesis_time, genesis_hash)  # (2)
            head = _read(0, "the newest block", self._stored.get_canonical_head)
            for number in range(1, head.block_number + 1):
                self._check_block(number)  # (3)
                if self._progress is not None:
                    self._progress(number, head.block_number)
            self._check_logs(head.block_number)  # (4)
            self._check_entries(head.block_number)  # (5)
        return ReplayReport(
            genesis_hash=genesis,
            head_number=head.block_number,
            head_hash=bytes(head.hash),
            logs=len(self._logs),
        )

    def _check_genesis(self, time: int | None, digest: bytes | None) -> bytes:
        found = self._store.genesis()
        if found is None:
            raise ReplayMismatch(0, "the genesis block (there is none)")
        if found[0] != self._chain_id:
            raise ReplayMismatch(0, f"the chain id ({found[0]} instead of {self._chain_id})")
        if time is not None and found[1] != time:
            raise ReplayMismatch(0, f"the genesis time ({found[1]} instead of {time})")
        parameters = _read(0, "the genesis time", lambda: evm.Genesis(chain_id=found[0], timestamp=found[1]))
        self._entries = evm.genesis_writes(parameters)
        computed = self._entries[evm.HEAD_KEY]
        if digest is not None and computed != digest:
            raise ReplayMismatch(0, "the genesis hash")
        if _read(0, "the genesis block", lambda: self._stored.get_canonical_block_hash(0)) != computed:
            raise ReplayMismatch(0, "the genesis block")
        return computed

    def _check_block(self, number: int) -> None:
        header = self._header(number)
        raw = _read(number, "transactions", lambda: self._only_transaction(header))
        transaction = _read(number, "transaction", lambda: evm.decode_transaction(raw, self._chain_id))
        if self._admit is not None:
            try:
                self._admit(evm.sent(transaction))
            except VerificationError as error:
                raise ForeignTransaction(number, error.message) from error
        sealed = _read(
            number,
            "transaction",
            lambda: evm.seal(self._entries.get, self._chain_id, transaction, int(header.timestamp)),
        )
        for field in _COMPARED_FIELDS:
            if getattr(sealed.header, field) != getattr(header, field):
                raise ReplayMismatch(number, field)
        self._entries.update(sealed.writes)
        self._logs.extend(sealed.log_rows())

    def _header(self, number: int) -> BlockHeaderAPI:
        """Return a header that has the hash and the parent that lead to it."""
        digest = _read(number, "header", lambda: self._stored.get_canonical_block_hash(number))
        header = _read(number, "header", lambda: self._stored.get_block_header_by_hash(digest))
        for field, found, expected in (
            ("hash", header.hash, digest),
            ("block_number", header.block_number, number),
            ("parent_hash", header.parent_hash, self._entries[evm.HEAD_KEY]),
        ):
            if found != expected:
                raise ReplayMismatch(number, field)
        return header

    def _only_transaction(self, header: BlockHeaderAPI) -> bytes:
        """Return the transaction of a block; the trie of a hostile file may have endless ones, so none is counted."""
        trie = HexaryTrie(ReadFace(self._node), header.transaction_root)
        raw = bytes(trie.get(_FIRST))
        if not raw or trie.get(_SECOND):
            raise ValueError("a block holds one transaction")
        return raw

    def _node(self, digest: bytes) -> bytes | None:
        """Return a node of a trie that has the hash by which it is found, so that no path leads round in a circle."""
        value = self._store.get(digest)
        if value is not None and keccak(value) != digest:
            raise ValueError("a node of a trie has another hash")
        return value

    def _check_logs(self, head: int) -> None:
        with closing(self._store.all_logs()) as stored:
            for computed, found in zip_longest(self._logs, stored):
                if computed is None:
                    raise ReplayMismatch(
                        head, f"the log index (a row of block {found.block} that no block wrote)"
                    )
                if computed != found:
                    raise ReplayMismatch(computed.block, f"the log index (log {computed.position})")

    def _check_entries(self, head: int) -> None:
        count = 0
        with closing(self._store.rows()) as rows:
            for key, value in rows:
                count += 1
                if not isinstance(key, bytes) or self._entries.get(key) != value:
                    raise ReplayMismatch(head, f"the entry {_name(key)}")
        if count != len(self._entries):
            raise ReplayMismatch(head, f"the number of entries ({count} instead of {len(self._entries)})")


def _read(number: int, field: str, action: Callable[[], _T]) -> _T:
    """Do something with stored bytes; if they are not what they should be, name block and field."""
    try:
        return action()
    except _MALFORMED as error:
        raise ReplayMismatch(
            number, f"{field} (unreadable: {str(error)[:120] or type(error).__name__})"
        ) from error


def _name(key: object) -> str:
    """Show a key: py-evm's names are readable, hashes are not."""
    if isinstance(key, bytes):
        return f"0x{key.hex()}" if len(key) == 32 else key[:80].decode("ascii", "backslashreplace")
    return repr(key)[:80]


@contextmanager
def _damage_is_mismatch() -> Iterator[None]:
    """An unreadable file does not replay either."""
    try:
        yield
    except StoreCorrupt as error:
        raise ReplayMismatch(0, f"the database file ({error.message})") from error
