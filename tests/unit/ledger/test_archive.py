"""An archive gives back what was put, or an error that names the object."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from fl_core.errors import LocalProtocolError
from ledger.archive import Archive
from ledger.errors import ArchiveError

DATA = b"a model" * 1000
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


def objects(archive: Archive) -> list[Path]:
    return sorted(path for path in archive.root.rglob("*") if path.is_file())


def test_an_object_comes_back_under_its_sha256(archive: Archive) -> None:
    digest = archive.put(DATA)
    assert digest == hashlib.sha256(DATA).digest()
    assert archive.get(digest, len(DATA)) == DATA
    assert digest in archive
    assert archive.path_of(digest).name == digest.hex()
    assert objects(archive) == [archive.path_of(digest)]


def test_putting_twice_writes_once(archive: Archive) -> None:
    digest = archive.put(DATA)
    inode = archive.path_of(digest).stat().st_ino
    assert archive.put(DATA) == digest
    assert archive.path_of(digest).stat().st_ino == inode
    assert len(objects(archive)) == 1


def test_an_object_can_be_streamed_in_and_out(archive: Archive) -> None:
    pieces = [bytes([n]) * 100_000 for n in range(20)]
    digest = archive.put_stream(iter(pieces))
    assert digest == hashlib.sha256(b"".join(pieces)).digest()
    assert b"".join(archive.get_stream(digest, 2_000_000)) == b"".join(pieces)


def test_an_object_can_be_written_out_of_order(archive: Archive) -> None:
    def write(file: BinaryIO) -> str:
        file.seek(5)
        file.write(b"the end")
        file.seek(0)
        file.write(b"then ")
        return "what the writer says"

    digest, said = archive.put_written(write)
    assert (archive.get(digest, 12), said) == (b"then the end", "what the writer says")
    assert digest == hashlib.sha256(b"then the end").digest()
    assert archive.put_written(write)[0] == digest
    assert objects(archive) == [archive.path_of(digest)]


KILLED = """
import os, signal, sys
from pathlib import Path
from ledger.archive import Archive

def write(file):
    file.write(b"half of it")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

Archive(Path(sys.argv[1])).put_written(write)
"""


def test_what_a_killed_writer_left_is_removed_by_the_next_one(archive: Archive) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(archive.root)], cwd=ROOT, check=False)
    assert [path.read_bytes() for path in objects(archive)] == [b"half of it"]
    digest = archive.put(DATA)
    assert objects(archive) == [archive.path_of(digest)]


def test_what_another_writer_is_writing_is_not_removed(archive: Archive) -> None:
    def write(file: BinaryIO) -> bytes:
        file.write(b"a slow one")
        return Archive(archive.root).put(DATA)

    slow, quick = archive.put_written(write)
    assert objects(archive) == sorted([archive.path_of(slow), archive.path_of(quick)])


def test_a_file_that_is_swept_before_it_is_locked_is_made_anew(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tempfile.mkstemp
    names: list[str] = []

    def swept_once(**options: str) -> tuple[int, str]:
        handle, name = made(**options)
        names.append(name)
        if len(names) == 1:
            Path(name).unlink()
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", swept_once)
    digest = archive.put(DATA)
    assert objects(archive) == [archive.path_of(digest)]
    assert len(names) == 2


def test_of_a_writer_that_fails_or_writes_too_much_nothing_stays(archive: Archive) -> None:
    def write(file: BinaryIO) -> None:
        file.write(DATA)

    def fail(file: BinaryIO) -> None:
        file.write(DATA)
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        archive.put_written(fail)
    with pytest.raises(ArchiveError, match=f"more than {len(DATA) - 1} bytes"):
        archive.put_written(write, max_bytes=len(DATA) - 1)
    assert objects(archive) == []
    archive.put_written(write, max_bytes=len(DATA))


def test_the_empty_object_is_an_object(archive: Archive) -> None:
    assert archive.get(archive.put(b""), 0) == b""


def test_a_missing_object_is_an_error_that_names_it(archive: Archive) -> None:
    absent = bytes(32)
    assert absent not in archive
    with pytest.raises(ArchiveError, match=f"Object {absent.hex()}: it is not in the archive") as caught:
        archive.get(absent, 10)
    assert caught.value.digest == absent


def test_an_altered_object_is_never_returned(archive: Archive) -> None:
    digest = archive.put(DATA)
    for altered in (DATA[:-1] + b"?", DATA[:-1], DATA + b"?", b""):
        archive.path_of(digest).write_bytes(altered)
        with pytest.raises(ArchiveError, match=f"Object {digest.hex()}: .*(altered|larger)"):
            archive.get(digest, len(DATA))
    archive.path_of(digest).write_bytes(DATA)
    assert archive.get(digest, len(DATA)) == DATA


def test_an_object_larger_than_the_caller_allows_is_refused(archive: Archive) -> None:
    digest = archive.put(DATA)
    with pytest.raises(ArchiveError, match="larger than the 6999 bytes allowed"):
        archive.get(digest, len(DATA) - 1)


def test_a_stream_that_is_too_long_or_breaks_leaves_nothing_behind(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="more than 10 bytes"):
        archive.put_stream([b"12345", b"67890", b"1"], max_bytes=10)

    def breaking() -> Iterator[bytes]:
        yield DATA
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        archive.put_stream(breaking())
    assert objects(archive) == []


def test_an_object_appears_as_a_whole(archive: Archive) -> None:
    """While it is being written nothing is under its name."""
    digest = hashlib.sha256(DATA * 2).digest()

    def watched() -> Iterator[bytes]:
        yield DATA
        assert digest not in archive
        yield DATA

    assert archive.put_stream(watched()) == digest
    assert digest in archive


def test_a_folder_in_the_place_of_an_object_is_an_error(archive: Archive) -> None:
    archive.path_of(bytes(32)).mkdir(parents=True)
    assert bytes(32) not in archive
    with pytest.raises(ArchiveError, match="cannot be read"):
        archive.get(bytes(32), 10)


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33)])
def test_a_digest_of_another_size_is_our_mistake(archive: Archive, digest: bytes) -> None:
    with pytest.raises(LocalProtocolError, match="32 bytes"):
        archive.path_of(digest)
