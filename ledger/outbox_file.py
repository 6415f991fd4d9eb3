"""The file of an outbox: one row for each intent, and the bytes that a higher fee replaced.

An intent's row holds its newest bytes. Whatever was signed before them, with the same nonce and a lower fee, stays beside it: any
of them may be the one that gets into a block.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ledger.errors import ChainBusy, LedgerError, StoreCorrupt

_SCHEMA_VERSION = 2
_SCHEMA_1 = """
CREATE TABLE entry (
  intent TEXT NOT NULL, chain TEXT NOT NULL, sender BLOB NOT NULL, nonce INTEGER NOT NULL,
  hash BLOB NOT NULL, raw BLOB NOT NULL, target BLOB, data BLOB NOT NULL, function TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('signed', 'done', 'reverted', 'replaced')), reason TEXT NOT NULL,
  PRIMARY KEY (intent, chain, sender)
) WITHOUT ROWID;
CREATE UNIQUE INDEX one_use_of_a_nonce ON entry (chain, sender, nonce) WHERE state <> 'replaced';
"""
_SCHEMA_2 = """
ALTER TABLE entry ADD COLUMN height INTEGER;
CREATE TABLE cheaper (
  intent TEXT NOT NULL, chain TEXT NOT NULL, sender BLOB NOT NULL, hash BLOB NOT NULL, raw BLOB NOT NULL,
  PRIMARY KEY (intent, chain, sender, hash)
) WITHOUT ROWID;
"""
_COLUMNS = "intent, nonce, hash, raw, target, data, function, reason, height"


@dataclass(frozen=True, slots=True)
class Entry:
    """One row, in the order of ``_COLUMNS``; ``height`` is the newest block when these bytes were seen to wait, or None."""

    intent: str
    nonce: int
    hash: bytes
    raw: bytes
    target: bytes | None
    data: bytes
    function: str
    reason: str
    height: int | None = None


class OutboxFile:
    """The rows of one account on one chain. Every change is on the disk when its method returns.

    Args:
        path: The sqlite file; made when new.
        chain: Names the chain.
        sender: The account, 20 bytes.

    Raises:
        StoreCorrupt: The file is not an outbox.
    """

    def __init__(self, path: Path, chain: str, sender: bytes) -> None:
        self._path = path
        self._key = (chain, sender)
        self._database = self._open()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # ---------------------------------------------------------------- reading
    def find(self, intent: str) -> Entry | None:
        """Return the entry of an intent."""
        query = f"SELECT {_COLUMNS} FROM entry WHERE intent=? AND chain=? AND sender=?"  # noqa: S608
        with self._translated():
            row = self._database.execute(query, (intent, *self._key)).fetchone()
        return None if row is None else Entry(*row)

    def signed(self) -> list[Entry]:
        """Return what was signed and not seen through, by nonce."""
        query = f"SELECT {_COLUMNS} FROM entry WHERE chain=? AND sender=? AND state='signed' ORDER BY nonce"  # noqa: S608
        with self._translated():
            return [Entry(*row) for row in self._database.execute(query, self._key).fetchall()]

    def state(self, intent: str) -> str | None:
        """Return the state of an intent, or None when it is new."""
        query = "SELECT state FROM entry WHERE intent=? AND chain=? AND sender=?"
        with self._translated():
            row = self._database.execute(query, (intent, *self._key)).fetchone()
        return None if row is None else str(row[0])

    def last_nonce(self) -> int | None:
        """Return the highest nonce that was given out, or None."""
        query = "SELECT MAX(nonce) FROM entry WHERE chain=? AND sender=? AND state<>'replaced'"
        with self._translated():
            (nonce,) = self._database.execute(query, self._key).fetchone()
        return None if nonce is None else int(nonce)

    def cheaper(self, intent: str) -> list[bytes]:
        """Return the hashes of bytes that a higher fee replaced."""
        query = "SELECT hash FROM cheaper WHERE intent=? AND chain=? AND sender=?"
        with self._translated():
            return [row[0] for row in self._database.execute(query, (intent, *self._key)).fetchall()]

    # ---------------------------------------------------------------- writing
    def add(self, entry: Entry) -> None:
        """Add a signed entry."""
        with self._translated():
            self._database.execute(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'signed', '', NULL)",
                (entry.intent, *self._key, entry.nonce, entry.hash, entry.raw, entry.target, entry.data, entry.function),
            )  # fmt: skip

    def waits(self, entry: Entry, height: int) -> Entry:
        """Note the height at which an entry was first seen to wait; return the entry with it."""
        with self._translated():
            self._database.execute(
                "UPDATE entry SET height=? WHERE intent=? AND chain=? AND sender=? AND height IS NULL",
                (height, entry.intent, *self._key),
            )
        return replace(entry, height=height)

    def reprice(self, old: Entry, new: Entry) -> None:
        """Put bytes with a higher fee in the place of an entry's, and keep the old ones beside it; inside a transaction."""
        with self._translated():
            self._database.execute(
                "INSERT INTO cheaper VALUES (?, ?, ?, ?, ?)", (old.intent, *self._key, old.hash, old.raw)
            )
            self._database.execute(
                "UPDATE entry SET hash=?, raw=?, height=? WHERE intent=? AND chain=? AND sender=?",
                (new.hash, new.raw, new.height, new.intent, *self._key),
            )

    def mark(self, entry: Entry, state: str, reason: str = "") -> None:
        """Set the state of an entry."""
        with self._translated():
            self._database.execute(
                "UPDATE entry SET state=?, reason=? WHERE intent=? AND chain=? AND sender=? AND (state, reason)<>(?, ?)",
                (state, reason, entry.intent, *self._key, state, reason),
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold off other processes; all or nothing of what is written meanwhile."""
        with self._translated():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    # ---------------------------------------------------------------- the file
    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._translated():
            database = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=10.0
            )
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("BEGIN IMMEDIATE")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and database.execute("SELECT 1 FROM sqlite_master").fetchone():
                version = -1
            missing = {0: _SCHEMA_1 + _SCHEMA_2, 1: _SCHEMA_2, _SCHEMA_VERSION: ""}.get(version)
            if missing is None:
                database.close()
                raise StoreCorrupt(
                    f"{self._path} is not an outbox of this version.", fix="Name another file."
                )
            for statement in missing.split(";\n"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
            database.execute("COMMIT")
        return database

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise ChainBusy(f"The outbox {self._path} was locked for 10 s.", fix="Try again.") from error
            raise LedgerError(f"The outbox {self._path} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(f"The outbox {self._path} is damaged: {error}.") from error
