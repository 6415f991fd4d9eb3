"""Archives a round's evidence beside the round's work, and waits for the disk only where the protocol needs it.

An object is on disk when its future is done. The session waits for all of them before each commit on the ledger, so nothing
that the ledger refers to can be lost; in between, several objects reach the disk together.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from ledger.archive import Archive

WORKERS = 8
LARGE = 1 << 20  # bytes
LARGE_AT_ONCE = 2
"""Objects of :data:`LARGE` bytes and more that may wait for the disk; who brings another one waits, so a slow disk fills no memory."""


class EvidenceWriter:
    """Puts objects into an archive in the background.

    Args:
        archive: Where to.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="suture-archive")
        self._pending: list[Future[bytes]] = []
        self._room = threading.Semaphore(LARGE_AT_ONCE)

    def put(self, data: bytes | memoryview) -> Future[bytes]:
        """Begin to archive ``data``; the future gives its SHA-256 when it is on disk."""
        large = len(data) >= LARGE
        if large:
            self._room.acquire()
        future = self._pool.submit(self._archive.put, data)
        if large:
            future.add_done_callback(lambda _: self._room.release())
        self._pending.append(future)
        return future

    def wait(self) -> None:
        """Wait until everything that was put is on disk.

        Raises:
            ArchiveError: Something could not be archived.
        """
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()

    def close(self) -> None:
        """Let the threads go, after the work that is left."""
        self._pool.shutdown(wait=True)
