"""The seal binds every path and every byte of a folder to a run, a ledger and a key."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fl_core.errors import DecodeError, InputError, VerificationError
from fl_core.secret import Secret
from ledger.papers import PublicFolder
from ledger.seal import (
    check_seal,
    hash_file,
    list_files,
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
        "rounds/00001.json": hashlib.sha256(b"one").digest(),
        "run.json": hashlib.sha256(b"run").digest(),
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
    one, two = hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()
    reference = seal_digest({"a": one, "b": two})
    assert seal_digest({"b": two, "a": one}) == reference
    others = [{"a": two, "b": one}, {"a": one}, {"ab": one, "": two}, {"a": one, "c": two}, {}]
    assert len({reference, *map(seal_digest, others)}) == 1 + len(others)


def test_a_missing_seal_and_a_malformed_entry_are_refused(public: PublicFolder) -> None:
    with pytest.raises(DecodeError, match="cannot be read"):
        read_seal(public)
    write_seal(public, run=RUN, domain=DOMAIN, signer=SIGNER)
    text = public.seal.read_bytes()
    public.seal.write_bytes(text.replace(hashlib.sha256(b"run").hexdigest().encode(), b"12"))
    with pytest.raises(DecodeError, match=r"digest of run\.json"):
        sealed_files(read_seal(public))


@pytest.mark.parametrize("value", ["", "0", "zz", "AB", "0xab", "abab", 171, None, b"ab", " a", "a\n"])
def test_only_lower_case_hexadecimal_of_the_right_size_is_read(value: object) -> None:
    assert unhex("ab", 1, "it") == b"\xab"
    with pytest.raises(DecodeError, match="it is not 1 bytes"):
        unhex(value, 1, "it")


def test_a_files_hash_is_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * ((1 << 20) + 1))
    assert hash_file(path) == hashlib.sha256(path.read_bytes()).digest()
