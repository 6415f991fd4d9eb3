"""Duties on their way to committee members and answers on their way back: one file that the coordinator and the relay share.

The coordinator writes a duty before the relay can hand it out; the relay writes an answer before it confirms it. So either process can be
killed at any time: a duty is handed out again, an answer is sent again, and both are noted once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import RunStateError
from fl_core.protocol.relay import Answer, Duty, DutyKind

FILE = "duties.sqlite"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS duties (
    number INTEGER PRIMARY KEY AUTOINCREMENT, round INTEGER NOT NULL, kind INTEGER NOT NULL, member BLOB NOT NULL,
    request BLOB NOT NULL, open INTEGER NOT NULL DEFAULT 1, UNIQUE (round, kind, member)
);
CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY REFERENCES duties (number), given INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS members (
    member BLOB PRIMARY KEY, stamp INTEGER NOT NULL, seen INTEGER NOT NULL, status BLOB NOT NULL DEFAULT x''
) WITHOUT ROWID;
"""
_BUSY_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSeen:
    """What the relay knows of a member: when it called last (Unix seconds), and its newest status."""

    seen: int
    status: bytes


class Duties:
    """The file.

    Args:
        folder: The coordinator's private folder.

    Raises:
        RunStateError: The file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        path = folder / FILE
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_S)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
            self._watch = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
        except (sqlite3.DatabaseError, OSError) as error:
            raise RunStateError(f"{path} cannot be opened ({error}).") from error

    # ------------------------------------------------------------------ the coordinator

    def add(self, number: int, kind: DutyKind, member: bytes, request: bytes) -> int:
        """Note a duty of round ``number`` and return its own number; one that is noted stays as it is."""
        with self._lock:
            self._db.execute(
                "INSERT OR IGNORE INTO duties (round, kind, member, request) VALUES (?, ?, ?, ?)",
                (number, kind.value, member, request),
            )
            query = "SELECT number FROM duties WHERE round=? AND kind=? AND member=?"
            return int(self._db.execute(query, (number, kind.value, member)).fetchone()[0])

    def answers(self, numbers: Iterable[int]) -> dict[int, Answer]:
        """Return the answers to these duties that are there."""
        found = {}
        with self._lock:
            for number in numbers:
                row = self._db.execute("SELECT given, data FROM answers WHERE number=?", (number,)).fetchone()
                if row is not None:
                    found[number] = Answer(number=number, given=bool(row[0]), data=bytes(row[1]))
        return found

    def end(self, number: int, kind: DutyKind) -> None:
        """Hand out no duty of this kind and round any more; answers are no longer taken, and requests are dropped."""
        with self._lock:
            self._db.execute(
                "UPDATE duties SET open=0, request=x'' WHERE round=? AND kind=?", (number, kind.value)
            )

    def members(self) -> dict[bytes, MemberSeen]:
        """Return who ever called."""
        with self._lock:
            rows = self._db.execute("SELECT member, seen, status FROM members").fetchall()
        return {bytes(m): MemberSeen(seen=int(seen), status=bytes(status)) for m, seen, status in rows}

    # ------------------------------------------------------------------ the relay

    def take_stamp(self, member: bytes, stamp: int, now: int) -> bool:
        """Note a call's stamp; return False when one as large was noted before."""
        with self._lock:
            done = self._db.execute(
                "INSERT INTO members (member, stamp, seen) VALUES (?, ?, ?) ON CONFLICT (member)"
                " DO UPDATE SET stamp=excluded.stamp, seen=excluded.seen WHERE excluded.stamp > stamp",
                (member, stamp, now),
            )
            return done.rowcount == 1

    def learn(self, member: bytes, status: bytes) -> None:
        """Note a member's status."""
        with self._lock:
            self._db.execute("UPDATE members SET status=? WHERE member=?", (status, member))

    def version(self) -> int:
        """Return a number that is another one when anybody changed the file; takes no lock and waits for no disk.

        For one thread: two that ask at once could miss a change.
        """
        return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def next(self, member: bytes) -> Duty | None:
        """Return the member's oldest duty without an answer."""
        query = (
            "SELECT number, kind, request FROM duties WHERE member=? AND open=1"
            " AND number NOT IN (SELECT number FROM answers) ORDER BY number LIMIT 1"
        )
        with self._lock:
            row = self._db.execute(query, (member,)).fetchone()
        return None if row is None else Duty(number=row[0], kind=DutyKind(row[1]), request=bytes(row[2]))

    def about(self, number: int) -> tuple[int, DutyKind]:
        """Return round and kind of a duty that is noted."""
        with self._lock:
            row = self._db.execute("SELECT round, kind FROM duties WHERE number=?", (number,)).fetchone()
        return int(row[0]), DutyKind(row[1])

    def answer(self, member: bytes, answer: Answer) -> bool:
        """Note a member's answer; return False when it has no such duty. The first answer counts."""
        query = "SELECT 1 FROM duties WHERE number=? AND member=? AND open=1"
        with self._lock:
            if self._db.execute(query, (answer.number, member)).fetchone() is None:
                return False
            self._db.execute(
                "INSERT OR IGNORE INTO answers VALUES (?, ?, ?)",
                (answer.number, int(answer.given), answer.data),
            )
        return True

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._watch.close()
            self._db.close()
