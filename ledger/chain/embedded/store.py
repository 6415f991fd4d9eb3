"""The file of an embedded chain: a key-value table and a log index in sqlite, one transaction per block.

Whatever belongs to a block (state, transaction, receipt, header, rows of the log index) is written by one call of
:meth:`Store.commit` in one transaction with ``synchronous=FULL``: after a crash a block is there as a whole or not at
all, and a block that was acknowledged is there. This module knows bytes, not blocks; :mod:`.evm` knows what they mean.

Three ways to open a file:

* for writing: takes the :class:`.lock.WriterLock`, switches to the write-ahead log;
* for reading beside a writer: sees each new block at once, blocks nobody;
* for reading a sealed copy: a closed chain is one file in rollback mode, which needs no helper files. A file that was
  not closed well may still say "write-ahead log"; if its folder is not writable it is read as immutable.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from fl_core.errors import InputError, LocalProtocolError
from ledger.chain.embedded.lock import WriterLock
from ledger.errors import ChainBusy, LedgerError, StoreCorrupt, WrongChain

APPLICATION_ID = 0x53757472
"""Marks the file as ours ("Sutr")."""
SCHEMA_VERSION = 1
_CACHE_ENTRIES = 20_000
"""Trie nodes, headers and code kept in memory; about half a kilobyte each."""
_BUSY_SECONDS = 10.0
"""How long to wait for another connection; a block takes milliseconds."""
_HASH_SIZE = 32
_SCHEMA_STEPS = 1_000_000
"""Most steps of sqlite's machine to read the list of tables: many times what ours takes. Pages of a hostile file can lead to the
same rows again and again; sqlite's check of the pages finds that, but comes after."""

_SCHEMA = {
    "kv": "CREATE TABLE kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
    "log": (
        "CREATE TABLE log (block INTEGER NOT NULL, position INTEGER NOT NULL, tx BLOB NOT NULL, "
        "address BLOB NOT NULL, topic0 BLOB, topic1 BLOB, topic2 BLOB, topic3 BLOB, data BLOB NOT NULL, "
        "PRIMARY KEY (block, position)) WITHOUT ROWID"
    ),
    "log_by_event": "CREATE INDEX log_by_event ON log (address, topic0, block)",
    "genesis": (
        "CREATE TABLE genesis (only INTEGER PRIMARY KEY, chain_id INTEGER NOT NULL, timestamp INTEGER NOT NULL)"
    ),
}


class LogRow(NamedTuple):
    """One log of one transaction, as the index holds it. Unused topics are None."""

    block: int
    position: int
    tx: bytes
    address: bytes
    topic0: bytes | None
    topic1: bytes | None
    topic2: bytes | None
    topic3: bytes | None
    data: bytes


class Store:
    """An open chain file. Use :meth:`open_writer` or :meth:`open_reader`; safe for threads."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: WriterLock | None) -> None:
        self.path = path
        self._connection = connection
        self._writer = lock
        self._mutex = threading.RLock()
        self._closed = False
        self._cache: dict[bytes, bytes] = {}

    # ---------------------------------------------------------------- opening and closing
    @classmethod
    def open_writer(cls, path: Path) -> Store:
        """Open or create ``path`` for writing.

        Raises:
            ChainBusy: Somebody else writes.
            WrongChain: The file holds something else.
            StoreCorrupt: The file is damaged.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = WriterLock(path)
        try:
            with _translated(path):
                connection = _connect(_uri(path, "rwc"))
                _check_ours(path, connection)
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("PRAGMA journal_mode=WAL")
        except BaseException:
            lock.release()
            raise
        return cls(path, connection, lock)

    @classmethod
    def open_reader(cls, path: Path) -> Store:
        """Open ``path`` for reading only, beside a writer or sealed.

        Raises:
            InputError: There is no such file.
            WrongChain: The file holds something else.
            StoreCorrupt: The file is damaged.
        """
        if not path.is_file():
            raise InputError(f"There is no chain at {path}.", fix="Name the file of an existing chain.")
        wal = path.with_name(path.name + "-wal")
        with _translated(path):
            try:
                connection = _connect(_uri(path, "ro"))
                _check_ours(path, connection)
            except sqlite3.OperationalError as error:
                unfinished = wal.exists() and wal.stat().st_size > 0
                if _name(error).startswith("SQLITE_BUSY") or unfinished:
                    raise
                connection = _connect(_uri(path, "ro") + "&immutable=1")
                _check_ours(path, connection)
        return cls(path, connection, None)

    @property
    def read_only(self) -> bool:
        """Whether this handle can write."""
        return self._writer is None

    def close(self) -> None:
        """Close; a writer first moves everything into the one file.

        While a reader still has the file open sqlite keeps (empty) helper files beside it; the file itself is complete.
        """
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            if self._writer is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                self._connection.execute("PRAGMA busy_timeout=0")
                try:
                    self._connection.execute("PRAGMA journal_mode=DELETE").fetchall()
                except sqlite3.OperationalError:
                    pass  # a reader is there: the file stays in write-ahead mode, fully checkpointed
            self._connection.close()
            if self._writer is not None:
                self._writer.release()

    def copy_to(self, target: Path) -> None:
        """Write a sealed, compact copy of the chain as it is now; the target must not exist.

        The way to take a copy: reading the file with ordinary file calls in a process that has it open would drop
        sqlite's locks.
        """
        if target.exists():
            raise InputError(f"{target} exists already.", fix="Choose a new file name.")
        with self._mutex, _translated(self.path):
            self._connection.execute("VACUUM INTO ?", (str(target),))

    # ---------------------------------------------------------------- keys and values
    def get(self, key: bytes) -> bytes | None:
        """Return the value under ``key``, or None.

        Keys of 32 bytes are hashes of their values and are cached. So is everything else while this handle writes: nobody
        else can change it then (:class:`.lock.WriterLock`).
        """
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        with self._mutex, _translated(self.path):
            row = self._connection.execute("SELECT v FROM kv WHERE k=?", (key,)).fetchone()
            if row is None:
                return None
            value = _blob(self.path, row[0])
            if len(key) == _HASH_SIZE or self._writer is not None:
                self._remember(key, value)
        return value

    def _remember(self, key: bytes, value: bytes) -> None:
        if len(self._cache) >= _CACHE_ENTRIES:
            self._cache = {}
        self._cache[key] = value

    def genesis(self) -> tuple[int, int] | None:
        """Return (chain id, genesis time), or None while the file is new."""
        with self._mutex, _translated(self.path):
            if not self._connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                return None
            rows = self._connection.execute("SELECT only, chain_id, timestamp FROM genesis").fetchall()
        if len(rows) != 1 or rows[0][0] != 1 or not all(isinstance(x, int) for x in rows[0]):
            raise StoreCorrupt(f"{self.path} does not say which chain it holds.", fix="Restore a copy.")
        return rows[0][1], rows[0][2]

    def create(self, chain_id: int, timestamp: int, writes: Mapping[bytes, bytes]) -> None:
        """Write the schema, the chain's parameters and the genesis block in one transaction."""
        with self._transaction() as connection:
            for statement in _SCHEMA.values():
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.execute("INSERT INTO genesis VALUES (1, ?, ?)", (chain_id, timestamp))
            connection.executemany("INSERT INTO kv VALUES (?, ?)", writes.items())

    def commit(self, writes: Mapping[bytes, bytes], logs: Sequence[LogRow]) -> None:
        """Write one block: all of it, durably, or nothing."""
        with self._mutex:
            known, self._cache = self._cache, {}  # should this fail, the file alone knows how it ended
            with self._transaction() as connection:
                connection.executemany(
                    "INSERT INTO kv VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v=excluded.v", writes.items()
                )
                connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", logs)
            self._cache = known
            for key, value in writes.items():
                self._remember(key, value)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._writer is None:
            raise LocalProtocolError("this chain is open for reading only")
        with self._mutex, _translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Hold one view of the file: blocks that a writer adds meanwhile stay invisible."""
        with self._mutex:
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("ROLLBACK")

    # ---------------------------------------------------------------- logs, and the whole content
    def logs(
        self,
        first: int,
        last: int,
        addresses: Sequence[bytes],
        topics: Sequence[Sequence[bytes]],
        limit: int,
    ) -> list[LogRow]:
        """Return at most ``limit`` rows of blocks ``first`` to ``last``, in order.

        Args:
            first: First block.
            last: Last block, included.
            addresses: Only logs of these contracts; empty for all.
            topics: For each of up to four positions the values allowed; empty for any.
            limit: Most rows to return.
        """
        clauses, values = ["block BETWEEN ? AND ?"], [first, last]
        columns = zip(("address", "topic0", "topic1", "topic2", "topic3"), (addresses, *topics), strict=False)
        arguments: list[object] = list(values)
        for column, allowed in columns:
            if allowed:
                clauses.append(f"{column} IN ({','.join('?' * len(allowed))})")
                arguments.extend(allowed)
        query = f"SELECT * FROM log WHERE {' AND '.join(clauses)} ORDER BY block, position LIMIT ?"  # noqa: S608
        with self._mutex, _translated(self.path):
            return [LogRow(*row) for row in self._connection.execute(query, (*arguments, limit)).fetchall()]

    def rows(self) -> Generator[tuple[object, object], None, None]:
        """Yield every key with its value, bypassing the cache. Close it when it is not read to the end."""
        with _translated(self.path), closing(self._connection.execute("SELECT k, v FROM kv")) as cursor:
            yield from cursor

    def all_logs(self) -> Generator[LogRow, None, None]:
        """Yield the whole log index in order. Close it when it is not read to the end."""
        query = "SELECT * FROM log ORDER BY block, position"
        with _translated(self.path), closing(self._connection.execute(query)) as cursor:
            for row in cursor:
                yield LogRow(*row)

    def longest_value(self) -> int:
        """Return the size in bytes of the longest key, value or field of a log, without reading it."""
        fields = ("tx", "address", "topic0", "topic1", "topic2", "topic3", "data")
        with self._mutex, _translated(self.path):
            lengths = [
                *self._connection.execute("SELECT max(length(k)), max(length(v)) FROM kv").fetchone(),
                *self._connection.execute(
                    f"SELECT {', '.join(f'max(length({field}))' for field in fields)} FROM log"  # noqa: S608
                ).fetchone(),
            ]
        return max((length for length in lengths if length is not None), default=0)

    def check_integrity(self) -> str:
        """Return what sqlite finds wrong with its pages and indices, or an empty string."""
        with self._mutex, _translated(self.path):
            findings = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check(3)")]
        return "" if findings == ["ok"] else "; ".join(findings)


def _uri(path: Path, mode: str) -> str:
    return f"file:{quote(str(path.absolute()))}?mode={mode}"


def _connect(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS
    )
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA cell_size_check=ON")
    return connection


def _check_ours(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse files of other programs and schemas with anything added to them (triggers, views)."""
    connection.set_progress_handler(lambda: 1, _SCHEMA_STEPS)
    try:
        rows = connection.execute("SELECT name, sql FROM sqlite_master").fetchmany(len(_SCHEMA) + 1)
        found = dict(rows)
        if not found:
            return
        marks = [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        ]
    finally:
        connection.set_progress_handler(None, 0)
    if marks != [APPLICATION_ID, SCHEMA_VERSION]:
        raise WrongChain(f"{path} is not a chain of this version.", fix="Name the file of a Suture chain.")
    if found != _SCHEMA or len(rows) != len(_SCHEMA):
        raise StoreCorrupt(f"The tables of {path} were altered.", fix="Restore a copy of the chain.")


def _name(error: sqlite3.Error) -> str:
    """Return sqlite's name of an error; empty for an error of its driver, which has none."""
    return getattr(error, "sqlite_errorname", "")


def _blob(path: Path, value: object) -> bytes:
    if not isinstance(value, bytes):
        raise StoreCorrupt(f"{path} holds a value that is not bytes.", fix="Restore a copy of the chain.")
    return value


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn sqlite's errors into ours."""
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise LocalProtocolError(f"the chain {path} is used after it was closed") from error
    except sqlite3.OperationalError as error:
        if not _name(error):  # not from sqlite but from its driver: text that is not UTF-8
            raise StoreCorrupt(
                f"The file {path} is damaged: {error}.", fix="Restore a copy of the chain."
            ) from error
        if _name(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise ChainBusy(
                f"The chain {path} was locked for {_BUSY_SECONDS:.0f} s.", fix="Try again."
            ) from error
        raise LedgerError(
            f"The chain {path} cannot be used: {error}.", fix="Check disk and permissions."
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(
            f"The file {path} is damaged: {error}.", fix="Restore a copy of the chain."
        ) from error
