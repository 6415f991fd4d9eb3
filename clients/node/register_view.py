"""What a register says, read without changing anything: for commands that look while the node may be running.

Also whether logbook and register of a node tell the same story. They are written one after the other, so a crash can leave a
contribution in the register that is not in the logbook yet (it did not leave); never the other way round.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from clients.errors import NodeStateError
from clients.node.logbook import read_logbook
from fl_core.protocol.phases import MemberStep
from ledger.logbook import Entry, Kind

_CONTRIBUTIONS = """
SELECT run, round, frame, sent, entries, hidden, data_set, at FROM headers
JOIN contributions ON contributions.header = digest LEFT JOIN anchors ON anchors.header = digest ORDER BY run, round
"""
WEIGHT = "weight opening"
_QUESTIONS = {
    Kind.CHECK.value: MemberStep.CHECK.value,
    Kind.REVEAL.value: MemberStep.REVEAL.value,
    Kind.BLAME.value: MemberStep.BLAME.value,
    Kind.WEIGHT.value: WEIGHT,
}
"""What the register calls the question that an entry of the logbook answers."""
_ANSWERS = "SELECT run, round, question FROM answers JOIN headers ON answers.header = digest"
_WEIGHTS = (
    f"SELECT run, round, '{WEIGHT}' FROM weights JOIN headers ON weights.header = digest"  # noqa: S608 - a constant
    " WHERE about IS NOT NULL"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributed:
    """One contribution of the register.

    Attributes:
        frame: SHA-256 of the frame.
        size: Bytes of the frame.
        entries: Number of entries of the logbook that its leaf binds.
        hidden: Commitment to its metrics.
        data_set: Commitment to the data set; empty where an older version stored it.
        at: When it was made, Unix time in seconds; 0 where an older version stored it.
    """

    frame: bytes
    size: int
    entries: int
    hidden: bytes
    data_set: bytes
    at: int


@dataclass(frozen=True, slots=True)
class RegisterView:
    """A register's content.

    Attributes:
        headers: (run, round) of every accepted header.
        contributions: By (run, round).
        answers: (run, round, question).
    """

    headers: frozenset[tuple[bytes, int]]
    contributions: Mapping[tuple[bytes, int], Contributed]
    answers: frozenset[tuple[bytes, int, str]]


def read_register(folder: Path) -> RegisterView:
    """Read the register in a node's folder; an empty one where there is none yet.

    Raises:
        NodeStateError: It is damaged.
    """
    path = folder / "register.sqlite"
    if not path.exists():
        return RegisterView(frozenset(), {}, frozenset())
    open_now = path.with_name(path.name + "-wal").exists()
    uri = f"{path.resolve().as_uri()}?" + ("mode=ro" if open_now else "immutable=1")
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.execute("PRAGMA query_only=ON")
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            headers = database.execute("SELECT run, round FROM headers").fetchall()
            rows = database.execute(_CONTRIBUTIONS).fetchall() if "anchors" in tables else []
            answers = database.execute(_ANSWERS).fetchall()
            answers += database.execute(_WEIGHTS).fetchall() if "weights" in tables else []
    except sqlite3.DatabaseError as error:
        raise NodeStateError(
            f"{path} cannot be read ({error}).",
            fix="Never restore it from a backup: rotate the node's keys and start with an empty folder.",
        ) from error
    return RegisterView(
        headers=frozenset((bytes(run), int(number)) for run, number in headers),
        contributions={
            (bytes(run), int(number)): Contributed(
                frame=bytes(frame),
                size=int(size),
                entries=entries or 0,
                hidden=bytes(hidden or b""),
                data_set=bytes(data_set or b""),
                at=at or 0,
            )
            for run, number, frame, size, entries, hidden, data_set, at in rows
        },
        answers=frozenset((bytes(run), int(number), str(question)) for run, number, question in answers),
    )


def contradictions(entries: Iterable[Entry], register: RegisterView) -> list[str]:
    """Return what the logbook says that the register does not bear out: signs of a register that was rolled back."""
    found = []
    for entry in entries:
        place = (bytes.fromhex(entry.run), entry.round)
        where = f"entry {entry.n} of the logbook: the {entry.kind} of round {entry.round}"
        if entry.kind == Kind.FRAME.value:
            stored = register.contributions.get(place)
            if stored is None:
                found.append(f"{where} is not in the register")
            elif (stored.frame.hex(), stored.entries, stored.hidden.hex()) != (
                entry.digest,
                entry.anchor,
                entry.hidden,
            ):
                found.append(f"{where} is another one in the register")
        elif entry.kind in _QUESTIONS and (*place, _QUESTIONS[entry.kind]) not in register.answers:
            found.append(f"{where} is not in the register")
    return found


def expect_not_restored(folder: Path, account: bytes) -> None:
    """Check, before a node answers anybody, that its register is not older than its logbook.

    Whatever leaves the house is in the register before it is in the logbook, so no crash makes such a difference.

    Raises:
        NodeStateError: The logbook says that something was sent that the register does not know; or one of them is damaged.
    """
    entries = (entry for entry, _ in read_logbook(folder, account))
    problems = contradictions(entries, read_register(folder))
    if problems:
        raise NodeStateError(
            f"{folder / 'register.sqlite'} was restored from a backup, or lost: {problems[0]}.",
            fix="Rotate the node's keys and start with an empty register; `suture-node log verify` lists what is missing.",
        )
