"""The once-only register: what this node has sent, on disk before it was sent.

Four rules are kept here, whatever the callers do:

* one contribution per round: a second one is refused, a retry gets the stored bytes;
* the weight that a contribution commits to is opened for one included set, in bytes that were made with the contribution;
* one accepted set and one included set per round: the node answers for the set that it answered first, for no other, ever;
* all are committed with ``synchronous=FULL`` before the bytes are returned.

A restored backup of a node must not bring this file back (``docs/explanation/threat-model.md``).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from clients.errors import NodeStateError, PolicyRefusal
from clients.node.frames import drop_unnoted
from fl_core.errors import LocalProtocolError
from fl_core.protocol.phases import (
    ClientPhase,
    ClientStep,
    MemberPhase,
    MemberStep,
    advance_client,
    advance_member,
)
from ledger.archive import Archive

_SCHEMA = """
CREATE TABLE IF NOT EXISTS headers (
    digest BLOB PRIMARY KEY, run BLOB NOT NULL, round INTEGER NOT NULL, header BLOB NOT NULL,
    over INTEGER NOT NULL DEFAULT 0, UNIQUE (run, round)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contributions (
    header BLOB PRIMARY KEY REFERENCES headers (digest), frame BLOB NOT NULL, sent INTEGER NOT NULL,
    weight_salt BLOB NOT NULL, metrics_salt BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    header BLOB NOT NULL REFERENCES headers (digest), question TEXT NOT NULL, about BLOB NOT NULL,
    answer BLOB NOT NULL, receipt BLOB NOT NULL, PRIMARY KEY (header, question)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS anchors (
    header BLOB PRIMARY KEY REFERENCES contributions (header), entries INTEGER NOT NULL, hidden BLOB NOT NULL,
    data_set BLOB NOT NULL, at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS weights (
    header BLOB PRIMARY KEY REFERENCES contributions (header), contribution BLOB NOT NULL, opening BLOB NOT NULL, about BLOB
) WITHOUT ROWID;
"""

_LATEST_FIRST = (
    (MemberStep.BLAME, MemberPhase.BLAMED),
    (MemberStep.REVEAL, MemberPhase.REVEALED),
    (MemberStep.CHECK, MemberPhase.CHECKED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the register knows about a contribution, beyond its frame.

    Attributes:
        digest: SHA-256 of the frame.
        entries: How many entries of the logbook the leaf binds.
        hidden: Commitment to the metrics, see :mod:`fl_core.protocol.anchor`.
    """

    digest: bytes
    entries: int
    hidden: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """What a contribution binds and uses, to be stored with it.

    Attributes:
        entries: How many entries of the logbook.
        hidden: Commitment to the metrics.
        data_set: Commitment to the data set.
        at: Unix time in seconds.
    """

    entries: int
    hidden: bytes
    data_set: bytes
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWeight:
    """What opens the weight of a contribution; stored with it only under terms that pay by examples.

    Attributes:
        contribution: Digest of the statement that the holder signed.
        opening: The encoded opening.
    """

    contribution: bytes
    opening: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFrame:
    """What is stored about a frame besides its bytes.

    Attributes:
        size: How many bytes.
        weight_salt: Opens its weight commitment.
        metrics_salt: Opens the commitment to its counters.
        anchor: What it binds and uses, if that is known.
        weight: What opens its weight, under terms that pay by examples.
    """

    size: int
    weight_salt: bytes
    metrics_salt: bytes
    anchor: Anchor | None = None
    weight: KeptWeight | None = None


class Register:
    """One node's register.

    Args:
        folder: The node's folder; holds ``register.sqlite`` and the frames of rounds that are not over.

    Raises:
        NodeStateError: The register is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.RLock()
        self._frames = Archive(folder / "frames")
        try:
            self._db = sqlite3.connect(
                folder / "register.sqlite", isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA foreign_keys=ON")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise NodeStateError(
                f"the register in {folder} cannot be read ({error}).",
                fix="Never restore it from a backup: rotate the node's keys and start with an empty folder.",
            ) from error

    def accept_header(self, digest: bytes, run: bytes, number: int, header: bytes) -> None:
        """Remember a checked header.

        Raises:
            PolicyRefusal: Another header of the same round was accepted before.
        """
        with self._lock:
            self._db.execute(
                "INSERT OR IGNORE INTO headers VALUES (?, ?, ?, ?, 0)", (digest, run, number, header)
            )
            known = self._db.execute(
                "SELECT digest FROM headers WHERE run=? AND round=?", (run, number)
            ).fetchone()
        if known[0] != digest:
            raise PolicyRefusal(f"another header was accepted for round {number} of this run")

    def header(self, digest: bytes) -> bytes:
        """Return an accepted header.

        Raises:
            PolicyRefusal: This node accepted no header with that digest.
        """
        with self._lock:
            row = self._db.execute("SELECT header FROM headers WHERE digest=?", (digest,)).fetchone()
        if row is None:
            raise PolicyRefusal("this node accepted no header with that digest")
        return bytes(row[0])

    def rounds_done(self, run: bytes, *, before: int) -> int:
        """Return how many rounds of ``run`` before round ``before`` this node contributed to."""
        query = (
            "SELECT COUNT(*) FROM contributions JOIN headers ON contributions.header = digest"
            " WHERE run=? AND round<?"
        )
        with self._lock:
            return int(self._db.execute(query, (run, before)).fetchone()[0])

    def client_phase(self, header: bytes) -> ClientPhase:
        """Return where this node stands as a client of a round.

        Raises:
            PolicyRefusal: This node accepted no header with that digest.
        """
        query = (
            "SELECT over, frame, about FROM headers LEFT JOIN contributions ON contributions.header = digest"
            " LEFT JOIN weights ON weights.header = digest WHERE digest=?"
        )
        with self._lock:
            row = self._db.execute(query, (header,)).fetchone()
        if row is None:
            raise PolicyRefusal("this node accepted no header with that digest")
        if row[0]:
            return ClientPhase.OVER
        if row[1] is None:
            return ClientPhase.BEGUN
        return ClientPhase.CONTRIBUTED if row[2] is None else ClientPhase.OPENED

    def frame(self, header: bytes) -> bytes | None:
        """Return the stored frame of a round, or None when there is none yet.

        Raises:
            PolicyRefusal: The round is over, or the header is unknown.
        """
        phase = self.client_phase(header)
        if phase is ClientPhase.OVER:
            raise PolicyRefusal("this round is over: a newer one was begun")
        if phase is ClientPhase.BEGUN:
            return None
        with self._lock:
            digest, size = self._db.execute(
                "SELECT frame, sent FROM contributions WHERE header=?", (header,)
            ).fetchone()
        return self._frames.get(bytes(digest), int(size))

    def has_contributed(self, header: bytes) -> bool:
        """Return whether this node made a contribution to a round, over or not."""
        with self._lock:
            row = self._db.execute("SELECT 1 FROM contributions WHERE header=?", (header,)).fetchone()
        return row is not None

    def store_contribution(
        self,
        header: bytes,
        frame: bytes,
        weight_salt: bytes,
        metrics_salt: bytes,
        anchor: Anchor | None = None,
    ) -> bytes:
        """Store a contribution and return the bytes that may be sent: these, or those of an earlier call that won.

        Raises:
            PolicyRefusal: The round is over, or the header is unknown.
        """
        stored = self.frame(header)
        if stored is not None:
            return stored
        contribution = NewFrame(
            size=len(frame), weight_salt=weight_salt, metrics_salt=metrics_salt, anchor=anchor
        )

        def write(file: BinaryIO) -> NewFrame:
            file.write(frame)
            return contribution

        return self.store_written(header, write)

    def store_written(self, header: bytes, write: Callable[[BinaryIO], NewFrame]) -> bytes:
        """Like :meth:`store_contribution`, of a frame that ``write`` writes to an empty file, so that it is not in memory.

        Raises:
            PolicyRefusal: As there.
            Exception: Whatever ``write`` raised; then nothing is stored.
        """
        digest, new = self._frames.put_written(write)
        with self._alone():
            if self.frame(header) is None:
                advance_client(self.client_phase(header), ClientStep.CONTRIBUTE)
                self._db.execute(
                    "INSERT INTO contributions VALUES (?, ?, ?, ?, ?)",
                    (header, digest, new.size, new.weight_salt, new.metrics_salt),
                )
                if new.anchor is not None:
                    anchor = new.anchor
                    self._db.execute(
                        "INSERT INTO anchors VALUES (?, ?, ?, ?, ?)",
                        (header, anchor.entries, anchor.hidden, anchor.data_set, anchor.at),
                    )
                if new.weight is not None:
                    self._db.execute(
                        "INSERT INTO weights VALUES (?, ?, ?, NULL)",
                        (header, new.weight.contribution, new.weight.opening),
                    )
        stored = self.frame(header)
        assert stored is not None
        return stored

    def contribution(self, header: bytes) -> bytes:
        """Return the digest of the statement that the holder signed in a round whose weight can be opened.

        Raises:
            PolicyRefusal: There is no such contribution.
        """
        with self._lock:
            row = self._db.execute("SELECT contribution FROM weights WHERE header=?", (header,)).fetchone()
        if row is None:
            raise PolicyRefusal("this node made no contribution to that round whose weight may be opened")
        return bytes(row[0])

    def open_weight(self, header: bytes, about: bytes) -> bytes:
        """Record that a weight is opened for the included set with root ``about``; return the bytes that may be sent.

        Raises:
            PolicyRefusal: There is none to open, it was opened for another included set, or the round is over.
        """
        query = "SELECT about, opening FROM weights WHERE header=?"
        with self._alone():
            row, phase = self._db.execute(query, (header,)).fetchone(), self.client_phase(header)
            if row is None:
                raise PolicyRefusal("this node made no contribution to that round whose weight may be opened")
            if phase is ClientPhase.OVER:
                raise PolicyRefusal("this round is over: a newer one was begun")
            if phase is ClientPhase.CONTRIBUTED:
                advance_client(phase, ClientStep.OPEN)
                self._db.execute("UPDATE weights SET about=? WHERE header=?", (about, header))
            elif bytes(row[0]) != about:
                raise PolicyRefusal("this node has opened its weight for another set of this round")
        return bytes(row[1])

    def sent(self, header: bytes) -> Sent:
        """Return what the logbook says about the stored contribution of a round.

        Raises:
            PolicyRefusal: This node made no contribution to it.
        """
        query = (
            "SELECT frame, entries, hidden FROM contributions LEFT JOIN anchors USING (header) WHERE header=?"
        )
        with self._lock:
            row = self._db.execute(query, (header,)).fetchone()
        if row is None:
            raise PolicyRefusal("this node made no contribution to that round")
        return Sent(digest=bytes(row[0]), entries=row[1] or 0, hidden=bytes(row[2] or b""))

    def uses(self, data_set: bytes, *, since: int = 0, outside: tuple[bytes, int] | None = None) -> int:
        """Return how many contributions were made from the data set with a commitment.

        Args:
            data_set: The commitment.
            since: Count those made at this Unix time or later.
            outside: Run and round that do not count.
        """
        run, number = outside or (b"", 0)
        query = (
            "SELECT COUNT(*) FROM anchors JOIN headers ON anchors.header = digest"
            " WHERE data_set=? AND at>=? AND NOT (run=? AND round=?)"
        )
        with self._lock:
            return int(self._db.execute(query, (data_set, since, run, number)).fetchone()[0])

    def drop_frames(self, run: bytes, before: int) -> None:
        """End the rounds of ``run`` before round ``before``; delete their frames and the weights that nobody asked for.

        That they were made stays recorded. Frames that a killed process left without a record go as well.
        """
        query = "SELECT frame FROM contributions JOIN headers ON contributions.header = digest WHERE run=? AND round<?"
        with self._lock:
            self._db.execute("UPDATE headers SET over=1 WHERE run=? AND round<? AND over=0", (run, before))
            self._db.execute(
                "DELETE FROM weights WHERE about IS NULL AND header IN"
                " (SELECT digest FROM headers WHERE run=? AND over=1)",
                (run,),
            )
            rows = self._db.execute(query, (run, before)).fetchall()
            noted = {bytes(digest).hex() for (digest,) in self._db.execute("SELECT frame FROM contributions")}
        for (digest,) in rows:
            self._frames.path_of(bytes(digest)).unlink(missing_ok=True)
        drop_unnoted(self._frames, noted)

    def member_phase(self, header: bytes) -> MemberPhase:
        """Return where this node stands as a member of a round's committee."""
        with self._lock:
            rows = self._db.execute("SELECT question FROM answers WHERE header=?", (header,)).fetchall()
        answered = {name for (name,) in rows}
        for step, phase in _LATEST_FIRST:
            if step.value in answered:
                return phase
        return MemberPhase.SEATED

    def answer(self, step: MemberStep, header: bytes, about: bytes) -> bytes | None:
        """Return the stored answer to ``step``'s question about the set with root ``about``, or None when there is none yet.

        Raises:
            PolicyRefusal: The node answered the question for another set of this round.
        """
        query = "SELECT about, answer FROM answers WHERE header=? AND question=?"
        with self._lock:
            row = self._db.execute(query, (header, step.value)).fetchone()
        if row is None:
            return None
        if bytes(row[0]) != about:
            raise PolicyRefusal(f"this node has answered the {step.value} for another set of this round")
        return bytes(row[1])

    def store_answer(
        self, step: MemberStep, header: bytes, about: bytes, answer: bytes, receipt: bytes
    ) -> bytes:
        """Record that the node answers ``step``'s question about a set, and return the bytes that may be sent.

        Raises:
            PolicyRefusal: The node answered for another set of this round, or a later question already, or the header is
                unknown.
        """
        try:
            with self._alone():
                stored = self.answer(step, header, about)
                if stored is None:
                    advance_member(self.member_phase(header), step)
                    self._db.execute(
                        "INSERT INTO answers VALUES (?, ?, ?, ?, ?)",
                        (header, step.value, about, answer, receipt),
                    )
        except LocalProtocolError as error:
            raise PolicyRefusal(str(error)) from error
        except sqlite3.IntegrityError as error:
            raise PolicyRefusal("this node accepted no header with that digest") from error
        return answer if stored is None else stored

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Look and write in one transaction: no other thread or process writes between the two."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the register."""
        with self._lock:
            self._db.close()
