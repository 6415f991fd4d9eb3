"""What the coordinator did in each round, written before the effect leaves the process.

A journal entry is (round, step, value). An entry is never changed: writing another value for the same step is a bug and
raises, writing the same value again is the normal course after a crash.
"""

from __future__ import annotations

import sqlite3
from enum import Enum
from pathlib import Path

from coordinator.errors import RunStateError
from fl_core.errors import LocalProtocolError


class Entry(Enum):
    """What is noted about a round."""

    HEADER = "header"  # the header's bytes, before openRound
    ACCEPTED = "accepted"  # root of V, before commitRound
    INCLUDED = "included"  # root of U, before commitIncluded
    KEY = "key"  # digest of the aggregate key, before the aggregate is used
    PAPER = "paper"  # the round's paper, before finaliseRound
    MODEL = "model"  # SHA-256 of the new model, before finaliseRound
    BLOCKS = "blocks"  # the next round's clips, before finaliseRound
    BLAMED = "blamed"  # addresses of clients that a blame opening named, before finaliseRound
    REWARDS = "rewards"  # cumulative rewards after the round, before finaliseRound
    DONE = "done"  # b"finalised" or b"aborted", after the ledger said so


class Journal:
    """One run's journal in a sqlite file.

    Args:
        path: The file; made when it does not exist.

    Raises:
        RunStateError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS journal (round INTEGER, entry TEXT, value BLOB NOT NULL,"
                " PRIMARY KEY (round, entry)) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            raise RunStateError(f"the journal {path} cannot be read ({error}).") from error

    def write(self, number: int, entry: Entry, value: bytes) -> None:
        """Note ``value``; it is on disk when this returns.

        Raises:
            LocalProtocolError: Another value is noted already.
        """
        self._db.execute("INSERT OR IGNORE INTO journal VALUES (?, ?, ?)", (number, entry.value, value))
        if self.read(number, entry) != value:
            raise LocalProtocolError(f"round {number} has another {entry.value} in the journal")

    def forget(self, number: int) -> None:
        """Drop the entries of a round that never reached the ledger, so that its number can be used."""
        self._db.execute("DELETE FROM journal WHERE round=?", (number,))

    def all(self, entry: Entry) -> dict[int, bytes]:
        """Return what is noted for one entry, by round."""
        rows = self._db.execute("SELECT round, value FROM journal WHERE entry=?", (entry.value,))
        return {int(number): bytes(value) for number, value in rows}

    def read(self, number: int, entry: Entry) -> bytes | None:
        """Return what is noted, or None."""
        row = self._db.execute(
            "SELECT value FROM journal WHERE round=? AND entry=?", (number, entry.value)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def last(self, entry: Entry) -> tuple[int, bytes] | None:
        """Return the newest round that has ``entry``, and its value."""
        row = self._db.execute(
            "SELECT round, value FROM journal WHERE entry=? ORDER BY round DESC LIMIT 1", (entry.value,)
        ).fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def close(self) -> None:
        """Close the file."""
        self._db.close()
