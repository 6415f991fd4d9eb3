"""The messages that came in, whether they were answered, and the replies that are leaving: on disk before anything follows from it.

A message may be answered once. The reply is noted before it is sent, whole and in one transaction with the note that there is one, so
a gateway that is killed in between sends this reply after its restart, and never another one.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flwr.proto.message_pb2 import Metadata

from clients.errors import NodeStateError
from clients.gateway.objects import is_object_id
from fl_core.errors import InputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS questions (
    id TEXT PRIMARY KEY, run TEXT NOT NULL, metadata BLOB NOT NULL, objects TEXT NOT NULL, came REAL NOT NULL,
    answered INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bundles (run TEXT PRIMARY KEY, bundle TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arrivals (id TEXT PRIMARY KEY, pulled BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS replies (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, reply BLOB NOT NULL);
"""

KEEP_S = 7 * 24 * 3600
"""Seconds after which a message is forgotten; a reply to a message that is not known is refused."""

MAX_METADATA = 1 << 16  # bytes; Flower's have some hundred, and the reply's are made of them

MAX_HELD = 256
"""Messages that are open and replies that are kept before no other is taken: honest ones are a few, and each may have some 300 kB."""

OFF_S = 300.0
"""Seconds that the time of a call may be off, as Flower checks it."""

_BUSY_S = 10.0
_APART = "clock-apart"


def well_formed(metadata: Metadata) -> bool:
    """Return whether a message can be noted: its name is one, it is not long-winded, and its time has an end."""
    return (
        is_object_id(metadata.message_id)
        and metadata.ByteSize() <= MAX_METADATA
        and math.isfinite(metadata.created_at + metadata.ttl)
    )


class Questions:
    """The gateway's small database.

    Args:
        path: Its file; is made.

    Raises:
        InputError: Its folder does not exist.
        NodeStateError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.OperationalError as error:
            raise InputError(
                f"{path} cannot be opened ({error}).", fix="Point to a folder made for a node."
            ) from error
        except sqlite3.DatabaseError as error:
            raise NodeStateError(
                f"{path} is damaged ({error}).",
                fix="Remove it: messages that are on their way count as lost.",
            ) from error

    def ask(self, metadata: Metadata, objects: frozenset[str], now: float, pulled: bytes = b"") -> None:
        """Note a message that came in, and the names of its objects; forget old ones.

        Args:
            metadata: Its metadata.
            objects: The names.
            now: Unix time in seconds.
            pulled: The SuperLink's answer that brought it, kept until it is handed in or answered.
        """
        row = (
            metadata.message_id,
            str(metadata.run_id),
            metadata.SerializeToString(),
            ",".join(sorted(objects)),
            now,
        )
        with self._lock, self._transaction():
            self._db.execute("DELETE FROM questions WHERE came < ?", (now - KEEP_S,))
            self._db.execute("DELETE FROM bundles WHERE run NOT IN (SELECT run FROM questions)")
            self._db.execute("DELETE FROM arrivals WHERE id NOT IN (SELECT id FROM questions)")
            new = self._db.execute(
                "INSERT OR IGNORE INTO questions (id, run, metadata, objects, came) VALUES (?, ?, ?, ?, ?)",
                row,
            )
            if new.rowcount == 1:
                self._db.execute("INSERT OR REPLACE INTO arrivals VALUES (?, ?)", (row[0], pulled))

    def arrived(self) -> bytes:
        """Return the answer that brought a message which is open and was not handed in; nothing where there is none."""
        query = "SELECT pulled FROM arrivals JOIN questions USING (id) WHERE answered=0 ORDER BY came LIMIT 1"
        with self._lock:
            row = self._db.execute(query).fetchone()
        return b"" if row is None else bytes(row[0])

    def handed_in(self, message_id: str) -> None:
        """Note that the SuperNode has a message."""
        with self._lock:
            self._db.execute("DELETE FROM arrivals WHERE id=?", (message_id,))

    def brings(self, run: int, bundle: str) -> None:
        """Note which bundle a run brings, by its SHA-256 in hexadecimal."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO bundles VALUES (?, ?)", (str(run), bundle))

    def bundle_of(self, run: int) -> bytes:
        """Return the SHA-256 of the bundle that a run brings; nothing if that was not noted."""
        with self._lock:
            row = self._db.execute("SELECT bundle FROM bundles WHERE run=?", (str(run),)).fetchone()
        return b"" if row is None else bytes.fromhex(row[0])

    def open(self, message_id: str) -> Metadata | None:
        """Return a message that was not answered yet."""
        with self._lock:
            row = self._db.execute(
                "SELECT metadata FROM questions WHERE id=? AND answered=0", (message_id,)
            ).fetchone()
        return None if row is None else Metadata.FromString(bytes(row[0]))

    def all_open(self) -> tuple[str, ...]:
        """Return the names of the messages that were not answered yet, oldest first."""
        with self._lock:
            rows = self._db.execute("SELECT id FROM questions WHERE answered=0 ORDER BY came").fetchall()
        return tuple(str(name) for (name,) in rows)

    def all_open_of(self, run: int) -> tuple[Metadata, ...]:
        """Return the messages of a run that were not answered yet, oldest first."""
        query = "SELECT metadata FROM questions WHERE answered=0 AND run=? ORDER BY came"
        with self._lock:
            rows = self._db.execute(query, (str(run),)).fetchall()
        return tuple(Metadata.FromString(bytes(data)) for (data,) in rows)

    def knows(self, run: int, message_id: str) -> bool:
        """Return whether a message of this run came in."""
        query = "SELECT 1 FROM questions WHERE id=? AND run=?"
        with self._lock:
            return self._db.execute(query, (message_id, str(run))).fetchone() is not None

    def has_object(self, run: int, name: str) -> bool:
        """Return whether a message of this run has an object of this name."""
        query = "SELECT 1 FROM questions WHERE run=? AND instr(objects, ?) > 0"
        with self._lock:
            return self._db.execute(query, (str(run), name)).fetchone() is not None

    def take(self, message_id: str, reply: bytes) -> bool:
        """Note that a message is answered now, and keep the reply; return False when it was answered before or never came."""
        with self._lock, self._transaction():
            done = self._db.execute(
                "UPDATE questions SET answered=1, objects='' WHERE id=? AND answered=0", (message_id,)
            )
            if done.rowcount == 1:
                self._db.execute("DELETE FROM arrivals WHERE id=?", (message_id,))
                self._db.execute("INSERT INTO replies (id, reply) VALUES (?, ?)", (message_id, reply))
            return done.rowcount == 1

    def held(self) -> int:
        """Return how many messages are open, and replies kept."""
        query = "SELECT (SELECT count(*) FROM questions WHERE answered=0) + (SELECT count(*) FROM replies)"
        with self._lock:
            return int(self._db.execute(query).fetchone()[0])

    def leaving(self, now: float | None = None) -> tuple[str, ...]:
        """Return the names of the messages whose reply is kept, oldest reply first.

        Args:
            now: Unix time by which those that are forgotten are dropped; None if it is not known for sure.
        """
        with self._lock:
            if now is not None:
                self._db.execute(
                    "DELETE FROM replies WHERE id NOT IN (SELECT id FROM questions WHERE came >= ?)",
                    (now - KEEP_S,),
                )
            rows = self._db.execute("SELECT id FROM replies ORDER BY n").fetchall()
        return tuple(str(name) for (name,) in rows)

    def kept(self, message_id: str) -> bytes:
        """Return the reply that is kept for a message; nothing if there is none."""
        with self._lock:
            row = self._db.execute("SELECT reply FROM replies WHERE id=?", (message_id,)).fetchone()
        return row[0] if row is not None and isinstance(row[0], bytes) else b""

    def keep_until(self, message_id: str) -> float:
        """Return the Unix time at which a message is forgotten, whatever its own time is; 0 if it is already."""
        with self._lock:
            row = self._db.execute("SELECT came FROM questions WHERE id=?", (message_id,)).fetchone()
        return 0.0 if row is None else float(row[0]) + KEEP_S

    def forget(self, message_id: str) -> None:
        """Keep the reply to a message no longer; that it was answered stays noted."""
        with self._lock:
            self._db.execute("DELETE FROM replies WHERE id=?", (message_id,))

    def over(self, now: float) -> tuple[tuple[str, str], ...]:
        """Return name and run of each message that was not answered and whose time is over."""
        with self._lock:
            return self._over(now)

    def give_up(self, now: float) -> bool:
        """Note every message whose time is over as answered; return whether there was one."""
        with self._lock:
            names = [(name,) for name, _ in self._over(now)]
            self._db.executemany("UPDATE questions SET answered=1 WHERE id=?", names)
            self._db.executemany("DELETE FROM arrivals WHERE id=?", names)
        return bool(names)

    def _over(self, now: float) -> tuple[tuple[str, str], ...]:
        rows = self._db.execute("SELECT id, run, metadata FROM questions WHERE answered=0 ORDER BY came")
        read = [(str(name), str(run), Metadata.FromString(bytes(data))) for name, run, data in rows]
        return tuple((name, run) for name, run, asked in read if asked.created_at + asked.ttl < now)

    def fact(self, name: str) -> str | None:
        """Return a remembered fact."""
        with self._lock:
            row = self._db.execute("SELECT value FROM facts WHERE name=?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def remember(self, name: str, value: str) -> None:
        """Remember a fact."""
        with self._lock:
            self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def clock_is_right(self, apart: float) -> None:
        """Remember how far the clock is from the seconds that nobody sets, which all processes of a machine share: it is right now."""
        self.remember(_APART, f"{apart:.3f}")

    def clock_was_set(self, apart: float) -> bool:
        """Return whether the clock was set by :data:`OFF_S` or more since it was right; before that nobody knows."""
        known = self.fact(_APART)
        return known is not None and abs(apart - float(known)) >= OFF_S

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
