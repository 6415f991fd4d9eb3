"""The evidence writer: what waits for the disk is bounded, what was put is there after the wait, and a failure is told."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from coordinator.evidence import LARGE, LARGE_AT_ONCE, EvidenceWriter
from ledger.archive import Archive
from ledger.errors import ArchiveError
from tests.simulators.process_tree import becomes


class SlowArchive(Archive):
    """An archive on a disk that takes large objects one by one, when a test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.turns = threading.Semaphore(0)

    def put(self, data: bytes | memoryview) -> bytes:
        if len(data) >= LARGE:
            self.turns.acquire()
        return super().put(data)


class BrokenArchive(Archive):
    def put(self, data: bytes | memoryview) -> bytes:
        raise ArchiveError(bytes(32), "no space left")


def large(number: int) -> bytes:
    return number.to_bytes(4, "big") * (LARGE // 4)


def test_what_was_put_is_on_disk_after_the_wait(tmp_path: Path) -> None:
    archive = Archive(tmp_path)
    writer = EvidenceWriter(archive)
    futures = [writer.put(data) for data in (b"leaf", memoryview(large(1)))]
    writer.wait()
    writer.close()
    assert [future.result() for future in futures] == [
        hashlib.sha256(data).digest() for data in (b"leaf", large(1))
    ]
    assert all(future.result() in archive for future in futures)


def test_a_slow_disk_holds_up_who_brings_large_objects_and_nobody_else(tmp_path: Path) -> None:
    archive, put = SlowArchive(tmp_path), []
    writer = EvidenceWriter(archive)

    def bring() -> None:
        for number in range(LARGE_AT_ONCE + 2):
            writer.put(large(number))
            put.append(number)

    bringing = threading.Thread(target=bring)
    bringing.start()
    try:
        assert becomes(lambda: len(put) == LARGE_AT_ONCE, 30.0)
        bringing.join(0.3)
        assert put == list(range(LARGE_AT_ONCE)), "two wait for the disk, the third for them"
        assert writer.put(b"small").result(timeout=10), "a small one passes"
    finally:  # or the threads would outlive the tests
        archive.turns.release(LARGE_AT_ONCE + 2)
    bringing.join(10)
    writer.wait()
    writer.close()
    assert put == list(range(LARGE_AT_ONCE + 2))


def test_a_disk_that_is_full_is_told_at_the_wait_and_lets_the_next_one_in(tmp_path: Path) -> None:
    writer = EvidenceWriter(BrokenArchive(tmp_path))
    for number in range(LARGE_AT_ONCE + 1):
        writer.put(large(number))
    with pytest.raises(ArchiveError, match="no space left"):
        writer.wait()
    writer.close()
