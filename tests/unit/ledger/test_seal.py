"""The seal binds every path and every byte of a folder to a run, a ledger and a key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fl_core.errors import DecodeError, InputError, VerificationError
from fl_core.secret import Secret
from ledger.papers import PublicFolder, SealPaper
from ledger.seal import (
    Content,
    check_seal,
    hash_file,
    list_files,
    most_bytes,
    read_seal,
    seal_digest,
    sealed_files,
    unhex,
    write_seal,
)
from ledger.signer import KeySigner
from ledger.typed_data import Domain

RUN, OTHER_RUN = b"\x01" * 32, b"\x02" * 32
DOMAIN = Domain(chain_id=5, contract=b"\x03" * 20)
SIGNER = KeySigner(Secret(b"\x04" * 32))


@pytest.fixture
def public(tmp_path: Path) -> PublicFolder:
    (tmp_path / "rounds").mkdir()
    (tmp_path / "run.json").write_bytes(b"run")
    (tmp_path / "rounds" / "00001.json").write_bytes(b"one")
    return PublicFolder(tmp_path)


def test_a_seal_lists_every_other_file_and_is_signed(public: PublicFolder) -> None:
    write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)
    paper = read_seal(public)
    assert sealed_files(paper) == {
        "rounds/00001.json": Content(size=3, sha256=hashlib.sha256(b"one").digest()),
        "run.json": Content(size=3, sha256=hashlib.sha256(b"run").digest()),
    }
    check_seal(paper, run=RUN, domain=DOMAIN, signer=SIGNER.address)


def test_sealing_again_gives_the_same_seal(public: PublicFolder) -> None:
    write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)
    first = public.seal.read_bytes()
    write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)
    assert public.seal.read_bytes() == first


def test_a_seal_of_another_run_ledger_or_key_is_refused(public: PublicFolder) -> None:
    write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)
    paper = read_seal(public)
    other = Domain(chain_id=6, contract=DOMAIN.contract)
    with pytest.raises(VerificationError, match="another run"):
        check_seal(paper, run=OTHER_RUN, domain=DOMAIN, signer=SIGNER.address)
    with pytest.raises(VerificationError, match="not made by this key"):
        check_seal(paper, run=RUN, domain=other, signer=SIGNER.address)
    with pytest.raises(VerificationError, match="not made by this key"):
        check_seal(paper, run=RUN, domain=DOMAIN, signer=b"\x09" * 20)


@pytest.mark.parametrize("name", ["ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.sqlite.lock"])
def test_a_folder_whose_ledger_is_open_is_not_sealed(public: PublicFolder, name: str) -> None:
    (public.path / name).write_bytes(b"")
    with pytest.raises(InputError, match="Close the ledger"):
        write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)
    assert not public.seal.exists()


def test_a_folder_with_a_link_is_not_sealed_and_links_are_not_followed(public: PublicFolder) -> None:
    (public.path / "outside").symlink_to(public.path.parent)
    assert list_files(public.path).others == ("outside",)
    assert list_files(public.path).files == ("rounds/00001.json", "run.json")
    with pytest.raises(InputError, match="no plain file"):
        write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)


def test_a_missing_folder_cannot_be_sealed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be sealed"):
        write_seal(PublicFolder(tmp_path / "missing"), run=RUN, domain=DOMAIN, signer=SIGNER)


def test_the_digest_depends_on_paths_and_contents_and_not_on_their_order() -> None:
    one, two = (Content(size=1, sha256=hashlib.sha256(data).digest()) for data in (b"1", b"2"))
    longer = one._replace(size=2)
    reference = seal_digest({"a": one, "b": two})
    assert seal_digest({"b": two, "a": one}) == reference
    others = [{"a": two, "b": one}, {"a": one}, {"ab": one, "": two}, {"a": one, "c": two}, {}]
    others.append({"a": longer, "b": two})
    assert len({reference, *map(seal_digest, others)}) == 1 + len(others)


def test_a_missing_seal_and_a_malformed_entry_are_refused(public: PublicFolder) -> None:
    with pytest.raises(DecodeError, match="cannot be read"):
        read_seal(public)
    write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)
    text = public.seal.read_bytes()
    public.seal.write_bytes(text.replace(hashlib.sha256(b"run").hexdigest().encode(), b"12"))
    with pytest.raises(DecodeError, match=r"entry of run\.json is not a size and a SHA-256"):
        sealed_files(read_seal(public))


@pytest.mark.parametrize("value", ["", "0", "zz", "AB", "0xab", "abab", 171, None, b"ab", " a", "a\n"])
def test_only_lower_case_hexadecimal_of_the_right_size_is_read(value: object) -> None:
    assert unhex("ab", 1, "it") == b"\xab"
    with pytest.raises(DecodeError, match="it is not 1 bytes"):
        unhex(value, 1, "it")


def test_a_files_hash_is_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * ((1 << 20) + 1))
    expected = Content(size=(1 << 20) + 1, sha256=hashlib.sha256(path.read_bytes()).digest())
    assert hash_file(path, 1 << 21) == expected
    with pytest.raises(OSError, match="larger than the 1048576 bytes allowed"):
        hash_file(path, 1 << 20)


def test_what_is_larger_than_its_place_allows_is_not_sealed(public: PublicFolder) -> None:
    for name in ("run.json", "rounds/00001.json", "ledger.sqlite", "model.safetensors", "archive/ab/cd"):
        path = public.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else None
        with path.open("wb") as file:
            file.truncate(most_bytes(public, name) + 1)
        with pytest.raises(InputError, match="larger than"):
            write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)
        path.unlink() if content is None else path.write_bytes(content)


def test_empty_folders_that_a_crash_left_are_removed_before_a_folder_is_sealed(public: PublicFolder) -> None:
    (public.path / "archive" / "ab").mkdir(parents=True)
    assert list_files(public.path).empty == ("archive/ab",)
    write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)
    assert sorted(path.name for path in public.path.iterdir()) == ["rounds", "run.json", "seal.json"]


def test_a_folder_with_more_entries_than_a_seal_has_room_for_is_not_listed(
    public: PublicFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.seal.MAX_ENTRIES", 2)
    with pytest.raises(DecodeError, match="more than 2 entries"):
        list_files(public.path)
    with pytest.raises(InputError, match="more than 2 entries"):
        write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)


@pytest.mark.parametrize("size", ["", "-1", "01", "1.0", "1" * 20, "3  "])
def test_a_size_in_a_seal_is_a_plain_number(size: str) -> None:
    paper = SealPaper(run="00" * 32, files={"a": f"{size} {'ab' * 32}"}, signature="00" * 65)
    with pytest.raises(DecodeError, match="entry of a is not a size"):
        sealed_files(paper)
