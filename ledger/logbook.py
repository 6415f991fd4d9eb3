"""The form of a node's logbook: what left the house, one line each, every line bound to all before it.

A logbook is a text file. Each line is one :class:`Entry` as canonical JSON; its field ``previous`` is the *head* of the
lines before it::

    head of no lines    = H(log-entry, account of the holder)
    head of n lines     = H(log-entry, line n)          line n holds the head of n - 1 lines

so a line cannot be changed, removed, added or moved without changing every head after it. Heads are bound into what the
holder signs each round (:mod:`fl_core.protocol.anchor`), and those signatures are under roots on the ledger: lines before an
anchored head cannot be rewritten later, not even by the holder. Lines after the last anchor can be cut off unseen.

Entries hold sizes, digests and receivers, never what was sent. Here they are read and checked; writing is the node's
(``clients.node.logbook``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Self

from fl_core.codec import construct, read_json
from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import DecodeError, InputError, VerificationError
from ledger.files import open_plain
from ledger.records import ADDRESS_SIZE

MAX_LINE = 1024
"""Most bytes of a line, its line break included."""
MAX_LOGBOOK = 1 << 30
"""Most bytes of a logbook that is read: some two million entries."""
MAX_ENTRIES = 1 << 32


class Kind(Enum):
    """What left the house."""

    FRAME = "frame"
    """A sealed contribution."""
    CHECK = "check"
    """A member's values in the share check."""
    REVEAL = "reveal"
    """A member's sum of shares."""
    BLAME = "blame"
    """A member's values at one place of a spoilt sum."""
    WEIGHT = "weight"
    """The weight of a contribution, opened for a run that pays by examples."""
    PREKEY = "prekey"
    """The public part of a prekey, signed."""
    TRANSACTION = "transaction"
    """A signed transaction, to the ledger."""
    CHECKPOINT = "checkpoint"
    """A signature over a block of the ledger."""
    CKKS = "ckks"
    """An answer in the CKKS mode: key package, upload, report or model."""
    PLAIN = "plain"
    """An order for a run without protection was given: what the glue sends then, the node does not see."""
    REPLY = "reply"
    """The gateway sent a reply to the SuperLink. ``digest`` is of its line in ``outgoing.jsonl``; the size is 0, since what the
    reply carries was counted when it was sealed."""
    WITHHELD = "withheld"
    """Nothing left: the gateway, or the service beside it, kept something back. ``digest`` as for a reply."""
    ERASURE = "erasure"
    """The salt of a data set was erased; nothing left. ``digest`` is the data set's commitment."""
    MENDED = "mended"
    """Nothing left: an entry that a crash had cut off was removed; what it was for never left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line.

    Attributes:
        n: Number of the entry, from 1.
        time: Unix time in seconds, by the node's clock.
        kind: What left.
        run: Run id, hexadecimal; empty where it belongs to no run.
        round: Round number; 0 where it belongs to none.
        size: How many bytes left.
        digest: SHA-256 of them, hexadecimal; of a transaction its hash.
        to: Account of the receiver, hexadecimal, or ``"members"``, ``"ledger"``, ``"glue"``, ``"superlink"``, or empty where nothing left.
        anchor: Of a frame: how many entries the head that its leaf binds stands for; 0 for none.
        hidden: Of a frame: commitment to the local metrics, which with that head gives the leaf's; empty for none.
        previous: Head of the entries before this one, hexadecimal.
    """

    n: int
    time: int
    kind: str
    run: str
    round: int
    size: int
    digest: str
    to: str
    anchor: int = 0
    hidden: str = ""
    previous: str

    def __post_init__(self) -> None:
        for field in fields(self):
            if type(getattr(self, field.name)) is not (int if field.type == "int" else str):
                raise ValueError(f"{field.name} is not of the type {field.type}")
        numbers = (self.n - 1, self.time, self.round, self.size, self.anchor)
        if any(not 0 <= number < 1 << 63 for number in numbers) or self.n > MAX_ENTRIES:
            raise ValueError("a number is out of range")
        Kind(self.kind)
        for name in ("run", "digest", "hidden", "previous"):
            text = getattr(self, name)
            if bytes.fromhex(text).hex() != text or len(text) not in (0, 2 * DIGEST_SIZE):
                raise ValueError(f"{name} is not a digest")
        if not self.digest or not self.previous:
            raise ValueError("an entry has a digest and the head before it")
        if self.to not in ("", "members", "ledger", "glue", "superlink") and (
            len(bytes.fromhex(self.to)) != ADDRESS_SIZE or self.to != self.to.lower()
        ):
            raise ValueError("the receiver is no account")

    def encode(self) -> bytes:
        """Return the line, its line break included."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Self:
        """Read a line, its line break included.

        Raises:
            DecodeError: It is not the canonical form of an entry.
        """
        values = read_json(line, limit=MAX_LINE, what="logbook entry", containers=1)
        if not isinstance(values, dict) or set(values) != {field.name for field in fields(cls)}:
            raise DecodeError("logbook entry: unknown fields")
        entry = construct("logbook entry", lambda: cls(**values))
        if entry.encode() != line:
            raise DecodeError("logbook entry: the line is not in its canonical form")
        return entry


def first_head(account: bytes) -> bytes:
    """Return the head of an empty logbook of ``account``."""
    return digest(Label.LOG_ENTRY, account)


def head_after(line: bytes) -> bytes:
    """Return the head of a logbook whose last line is ``line``, its line break included."""
    return digest(Label.LOG_ENTRY, line)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where a chain of entries stands.

    Attributes:
        count: Number of entries.
        head: Head of them.
    """

    count: int
    head: bytes

    def follow(self, line: bytes) -> tuple[Entry, State]:
        """Return the entry that a line holds, and the state after it.

        Raises:
            VerificationError: The line is no entry, or does not follow from those before it.
        """
        try:
            entry = Entry.decode(line)
        except DecodeError as error:
            raise VerificationError(f"line {self.count + 1} of the logbook was altered ({error})") from error
        if entry.n != self.count + 1 or entry.previous != self.head.hex():
            raise VerificationError(
                f"line {self.count + 1} of the logbook does not follow from the lines before it: one of them was "
                "altered, removed, added or moved"
            )
        return entry, State(count=entry.n, head=head_after(line))


def read_entries(account: bytes, lines: Iterable[bytes]) -> Iterator[tuple[Entry, State]]:
    """Return the entries of a logbook of ``account``, each with the state after it; checks all of them on the way.

    Raises:
        VerificationError: The logbook was altered, or is another holder's.
    """
    state = State(count=0, head=first_head(account))
    for line in lines:
        entry, state = state.follow(line)
        yield entry, state


def is_torn(line: bytes) -> bool:
    """Tell whether a line that was read up to :data:`MAX_LINE` is the file's last, without its line break."""
    return len(line) <= MAX_LINE and not line.endswith(b"\n")


class Reading:
    """A logbook's file, to be read: the entries of its whole lines, each with the state after it, checked on the way.

    A crash can cut the last line off in the middle. It is no entry and no fault, but told.

    Args:
        path: The file.
        account: Whose logbook it must be.

    Attributes:
        torn: How many bytes follow the last whole line; 0 until all lines were read.
    """

    def __init__(self, path: Path, account: bytes) -> None:
        self.path = path
        self.torn = 0
        self._account = account

    def __iter__(self) -> Iterator[tuple[Entry, State]]:
        """Return the entries.

        Raises:
            InputError: The file cannot be read.
            VerificationError: The logbook was altered, or is another holder's.
        """
        return read_entries(self._account, self._lines())

    def _lines(self) -> Iterator[bytes]:
        """Yield the whole lines; one that is too long comes in parts."""
        try:
            with open_plain(self.path, MAX_LOGBOOK) as file:
                while line := file.readline(MAX_LINE + 1):
                    if is_torn(line):
                        self.torn = len(line)
                        return
                    yield line
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be read ({error.strerror}).", fix="Name a node's logbook.jsonl."
            ) from error
