"""A folder of objects named by their SHA-256: models, ciphertexts, evidence.

An object appears under its name as a whole or not at all: it is written to a temporary file in the same folder, brought
to the disk, renamed, and the folder is brought to the disk. Writing what is there already changes nothing. Reading hashes
again: an altered object is an error that names it, never data. No index and no deletion; ``sha256sum`` checks a folder.
A writer holds a lock on its temporary file, so that the next one can tell what a killed one left, and removes it::

    ROOT/ab/ab34...   64 hexadecimal digits, in folders of the first two
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from fl_core.digests import DIGEST_SIZE
from fl_core.errors import LocalProtocolError
from ledger.errors import ArchiveError
from ledger.files import open_plain, read_plain

T = TypeVar("T")

MAX_OBJECT_BYTES = 1 << 31
"""2 GiB, twice the largest model; nothing larger is written or read."""
_PARTS = 3
"""Of an object's path, the last three lie in the archive's own folder: the archive, a folder of two digits, the object."""
_PIECE = 1 << 20
_NEW = ".new-"
"""How the names of files begin that are being written."""
_ALTERED = "its bytes were altered; they hash to something else."


class Archive:
    """An archive in the folder ``root``, which is made on the first write.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._swept = False

    def __repr__(self) -> str:
        return f"Archive({str(self.root)!r})"

    def path_of(self, digest: bytes) -> Path:
        """Return where an object is or would be."""
        if len(digest) != DIGEST_SIZE:
            raise LocalProtocolError(f"a digest has {DIGEST_SIZE} bytes, not {len(digest)}")
        name = digest.hex()
        return self.root / name[:2] / name

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, bytes) and self.path_of(digest).is_file()

    def put(self, data: bytes | memoryview) -> bytes:
        """Store ``data`` and return its SHA-256; it is on the disk when this returns."""
        digest = hashlib.sha256(data).digest()
        if digest in self:
            self._sync_folders(digest)  # the writer that came first may not have got that far
            return digest
        with self._temporary() as (file, name):
            file.write(data)
            self._publish(file, name, digest)
        return digest

    def put_stream(self, pieces: Iterable[bytes | memoryview], *, max_bytes: int = MAX_OBJECT_BYTES) -> bytes:
        """Store the concatenation of ``pieces`` without holding it in memory; return its SHA-256.

        Raises:
            ArchiveError: There are more than ``max_bytes``; nothing is stored.
        """
        hasher, size = hashlib.sha256(), 0
        with self._temporary() as (file, name):
            for piece in pieces:
                size += len(piece)
                hasher.update(piece)
                if size > max_bytes:
                    raise ArchiveError(hasher.digest(), f"more than {max_bytes} bytes were given.")
                file.write(piece)
            digest = hasher.digest()
            self._publish(file, name, digest)
        return digest

    def put_written(
        self, write: Callable[[BinaryIO], T], *, max_bytes: int = MAX_OBJECT_BYTES
    ) -> tuple[bytes, T]:
        """Store what ``write`` writes, in any order, to an empty file; return its SHA-256, and what ``write`` returns.

        Raises:
            ArchiveError: It wrote more than ``max_bytes``; nothing is stored, as after any error of its own.
        """
        with self._temporary() as (file, name):
            result = write(file)
            file.seek(0)
            hasher = hashlib.sha256()
            while piece := file.read(_PIECE):
                hasher.update(piece)
            digest = hasher.digest()
            if file.tell() > max_bytes:
                raise ArchiveError(digest, f"more than {max_bytes} bytes were given.")
            self._publish(file, name, digest)
        return digest, result

    def get(self, digest: bytes, max_bytes: int) -> bytes:
        """Return an object after hashing it again.

        Args:
            digest: Its SHA-256.
            max_bytes: Most bytes the caller can use.

        Raises:
            ArchiveError: It is missing, larger than ``max_bytes``, or not what its name says.
        """
        with self._reading(digest, max_bytes):
            data = read_plain(self.path_of(digest), max_bytes, parts=_PARTS)
        if hashlib.sha256(data).digest() != digest:
            raise ArchiveError(digest, _ALTERED)
        return data

    def get_stream(self, digest: bytes, max_bytes: int) -> Iterator[bytes]:
        """Yield an object in pieces; the hash is known, and an error raised, only after the last one.

        Raises:
            ArchiveError: As for :meth:`get`.
        """
        hasher, size = hashlib.sha256(), 0
        with (
            self._reading(digest, max_bytes),
            open_plain(self.path_of(digest), max_bytes, parts=_PARTS) as file,
        ):
            while piece := file.read(_PIECE):
                size += len(piece)
                if size > max_bytes:
                    raise ArchiveError(digest, f"it is larger than the {max_bytes} bytes allowed.")
                hasher.update(piece)
                yield piece
        if hasher.digest() != digest:
            raise ArchiveError(digest, _ALTERED)

    @contextmanager
    def _reading(self, digest: bytes, max_bytes: int) -> Iterator[None]:
        """Turn what can go wrong with an object's file into errors that name the object."""
        try:
            yield
        except FileNotFoundError as error:
            raise ArchiveError(digest, f"it is not in the archive {self.root}.") from error
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise ArchiveError(digest, f"it is larger than the {max_bytes} bytes allowed.") from error
            raise ArchiveError(digest, f"it cannot be read ({error.strerror}).") from error

    @contextmanager
    def _temporary(self) -> Iterator[tuple[BinaryIO, Path]]:
        """Give a new file in the archive that is removed unless it was published."""
        self.root.mkdir(parents=True, exist_ok=True)
        if not self._swept:
            self._sweep()
            self._swept = True
        handle, name = self._locked()
        try:
            with os.fdopen(handle, "w+b") as file:
                yield file, Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _locked(self) -> tuple[int, str]:
        """Make a temporary file and lock it; the operating system frees the lock when the process ends, however it does."""
        while True:
            handle, name = tempfile.mkstemp(dir=self.root, prefix=_NEW)
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:  # else another process swept it before it was locked
                return handle, name
            os.close(handle)

    def _sweep(self) -> None:
        """Remove the temporary files that nobody is writing: their writers were killed."""
        for path in self.root.glob(f"{_NEW}*"):
            with suppress(OSError):  # gone or published meanwhile, in use, or no file of ours
                handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                finally:
                    os.close(handle)

    def _publish(self, file: BinaryIO, name: Path, digest: bytes) -> None:
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())
        target = self.path_of(digest)
        target.parent.mkdir(exist_ok=True)
        name.replace(target)
        self._sync_folders(digest)

    def _sync_folders(self, digest: bytes) -> None:
        for folder in (self.path_of(digest).parent, self.root):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
