"""An archive gives back what was put, or an error that names the object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_core.errors import LocalProtocolError
from ledger.archive import Archive
from ledger.errors import ArchiveError

DATA = b"a model" * 1000


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
