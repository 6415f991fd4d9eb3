"""One writer per chain file: an advisory lock that the operating system drops when its holder dies.

The lock is taken on a file of its own beside the database. It must never be taken on the database itself: closing any
descriptor of that file would silently drop the POSIX locks that sqlite holds on it in the same process.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ledger.errors import ChainBusy


class WriterLock:
    """Holds ``<database>.lock`` until :meth:`release`, which also removes the file.

    Args:
        database: The database to guard.

    Raises:
        ChainBusy: Another process, or another handle of this one, holds it.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._descriptor = self._acquire(database)

    def _acquire(self, database: Path) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
                os.close(descriptor)
                raise ChainBusy(
                    f"The chain {database} is open for writing in process {holder or 'unknown'}.",
                    fix="Give the command again when that process is done: a run holds its chain until it ends.",
                ) from error
            if self._is_current(descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                return descriptor
            os.close(descriptor)  # the last holder removed the file while we waited for it

    def _is_current(self, descriptor: int) -> bool:
        """Tell whether the locked file is still the one under the path."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Remove the lock file while it is still held, then let go of it."""
        if self._descriptor >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1
