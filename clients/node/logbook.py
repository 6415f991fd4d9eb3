"""The node's own logbook of everything that leaves the house: written and on disk before the bytes leave.

The form, and what it proves, is :mod:`ledger.logbook`. Here is the file ``logbook.jsonl`` in the node's folder: appended to
under a lock, so that the node and commands on the same folder can share it, one write and one ``fsync`` an entry.

A crash can cut the last line off in the middle. That entry was not on disk, so what it was for never left: it is removed,
and an entry ``mended`` says so. Anything else that is wrong with the file stops the node.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from clients.errors import NodeStateError
from fl_core.errors import InputError, VerificationError
from ledger.logbook import MAX_LINE, MAX_LOGBOOK, Entry, Kind, Reading, State, first_head, is_torn
from ledger.signer import keystore_address

FILE = "logbook.jsonl"
_PRIVATE = 0o600
T = TypeVar("T")
_FIX = (
    "Do not repair it: run `suture-node log verify`, find out who changed the file, and tell the auditor. "
    "To go on, move the file away; the audit will show that the logbook begins anew."
)


class Logbook:
    """One node's logbook.

    Args:
        folder: The node's folder.
        account: The holder's account.
        clock: Unix time in seconds.

    Raises:
        NodeStateError: The file was altered, or is another holder's.
    """

    def __init__(self, folder: Path, account: bytes, *, clock: Callable[[], int]) -> None:
        self._path = folder / FILE
        self._clock = clock
        self._guard = threading.Lock()
        self._state = State(count=0, head=first_head(account))
        self._read = 0  # bytes of the file that self._state is about
        self._sent: set[tuple[str, str]] = set()
        self.bytes_sent = 0
        """Bytes that left, by all entries so far."""
        existed = self._path.exists()
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(self._path, flags, _PRIVATE)
        if not existed:
            _sync_folder(folder)
        try:
            with self._guard:
                self._locked(lambda: None)
        except BaseException:
            self.close()
            raise

    def append(
        self,
        kind: Kind,
        data: bytes,
        *,
        to: str,
        run: bytes = b"",
        number: int = 0,
        digest: bytes | None = None,
        anchor: int = 0,
        hidden: bytes = b"",
    ) -> Entry:
        """Write an entry about ``data``, which may leave when this returns.

        Args:
            kind: What it is.
            data: The bytes; they are not written.
            to: Receiver, see :class:`~ledger.logbook.Entry`.
            run: Run id, or empty.
            number: Round number, or 0.
            digest: SHA-256 of the bytes where it is known already.
            anchor: Of a frame: number of entries that its leaf binds.
            hidden: Of a frame: commitment to its metrics.

        Raises:
            NodeStateError: The file was altered meanwhile.
        """
        about = hashlib.sha256(data).digest() if digest is None else digest

        def write() -> Entry:
            return self._write(kind, len(data), about, to, run, number, anchor, hidden)

        with self._guard:
            return self._locked(write)

    def note_transaction(self, tx_hash: bytes, raw: bytes) -> None:
        """Note a signed transaction before it is first sent; ``before_sending`` of :class:`ledger.outbox.Outbox`."""
        self._note(Kind.TRANSACTION, len(raw), tx_hash, "ledger")

    def note_checkpoint(self, checkpoint: bytes) -> None:
        """Note a signature over a block before it is first published."""
        self._note(Kind.CHECKPOINT, len(checkpoint), hashlib.sha256(checkpoint).digest(), "members")

    def state(self) -> State:
        """Return number of entries and head, with what other processes wrote.

        Raises:
            NodeStateError: The file was altered meanwhile.
        """
        with self._guard:
            return self._locked(lambda: self._state)

    def total(self) -> tuple[int, int]:
        """Return how many entries there are, and how many bytes left by all of them, as far as this object has read."""
        with self._guard:
            return self._state.count, self.bytes_sent

    def has(self, kind: Kind, digest: bytes) -> bool:
        """Return whether an entry says that these bytes left."""
        with self._guard:
            return (kind.value, digest.hex()) in self._sent

    def close(self) -> None:
        """Close the file, once an entry that is being written is there."""
        with self._guard:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _note(self, kind: Kind, size: int, digest: bytes, to: str) -> None:
        """Write an entry, unless this or another process wrote it before."""

        def write() -> None:
            if (kind.value, digest.hex()) not in self._sent:
                self._write(kind, size, digest, to)

        with self._guard:
            self._locked(write)

    def _locked(self, act: Callable[[], T]) -> T:
        """Catch up with the file and act, while no other process writes."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._catch_up()
            return act()
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _write(
        self,
        kind: Kind,
        size: int,
        digest: bytes,
        to: str,
        run: bytes = b"",
        number: int = 0,
        anchor: int = 0,
        hidden: bytes = b"",
    ) -> Entry:
        entry = Entry(
            n=self._state.count + 1,
            time=self._clock(),
            kind=kind.value,
            run=run.hex(),
            round=number,
            size=size,
            digest=digest.hex(),
            to=to,
            anchor=anchor,
            hidden=hidden.hex(),
            previous=self._state.head.hex(),
        )
        line = entry.encode()
        if os.write(self._file, line) != len(line):  # the torn line is mended when the file is read next
            raise NodeStateError(
                f"{self._path} could not be written in full.", fix="Make room on its disk; nothing was sent."
            )
        os.fsync(self._file)
        self._follow(line)
        self._read += len(line)
        return entry

    def _follow(self, line: bytes) -> None:
        try:
            entry, self._state = self._state.follow(line)
        except VerificationError as error:
            raise NodeStateError(f"{self._path}: {error.message}.", fix=_FIX) from error
        self._sent.add((entry.kind, entry.digest))
        self.bytes_sent += entry.size if entry.to else 0

    def _catch_up(self) -> None:
        """Read what was written since the last look; remove a line that a crash cut off."""
        size = os.fstat(self._file).st_size
        if size == self._read:
            return
        if size < self._read:
            raise NodeStateError(f"{self._path} became shorter while the node had it open.", fix=_FIX)
        if size > MAX_LOGBOOK:
            raise NodeStateError(
                f"{self._path} has more than {MAX_LOGBOOK} bytes.",
                fix="Move it to the archive of your house.",
            )
        with open(os.dup(self._file), "rb") as file:
            file.seek(self._read)
            while line := file.readline(MAX_LINE + 1):
                if is_torn(line):
                    self._mend(line)
                    return
                self._follow(line)
                self._read += len(line)

    def _mend(self, torn: bytes) -> None:
        os.ftruncate(self._file, self._read)
        self._write(Kind.MENDED, len(torn), hashlib.sha256(torn).digest(), "")


def account_of(folder: Path) -> bytes:
    """Return the account of the node in a folder, from its keystore's public part; no key is opened.

    Raises:
        InputError: There is no keystore, or it names no account.
    """
    path = folder / "keys" / "account.json"
    account = keystore_address(path)
    if account is None:
        raise InputError(f"{path} names no account.", fix="Restore it from your copy of the keys.")
    return account


class OwnReading(Reading):
    """The logbook in a node's folder, read without changing anything; none at all has no entries."""

    def __iter__(self) -> Iterator[tuple[Entry, State]]:
        """Return the entries.

        Raises:
            InputError: The file cannot be read.
            NodeStateError: The logbook was altered.
        """
        if not self.path.exists():
            return
        try:
            yield from super().__iter__()
        except VerificationError as error:
            raise NodeStateError(f"{self.path}: {error.message}.", fix=_FIX) from error


def read_logbook(folder: Path, account: bytes | None = None) -> OwnReading:
    """Return the logbook in a node's folder, to be read.

    Args:
        folder: The folder.
        account: Whose logbook it must be, 20 bytes; by default the one that the folder's keystore names.

    Raises:
        InputError: It is no node's folder.
    """
    return OwnReading(folder / FILE, account or account_of(folder))


def torn_words(torn: int) -> str:
    """Return what is said of bytes after the last whole line."""
    return f"the logbook's last {torn} bytes are no whole line, as a crash leaves them; serve removes them and notes it"


def _sync_folder(folder: Path) -> None:
    """Have the name of a new file on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
