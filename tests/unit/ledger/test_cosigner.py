"""A member signs heights that only rise and one hash at each, whatever happens to its process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from fl_core.secret import Secret
from ledger.checkpoints import SignedCheckpoint, check_checkpoint
from ledger.cosigner import Cosigner
from ledger.errors import CheckpointRefused, LedgerError, StoreCorrupt
from ledger.signer import KeySigner
from ledger.typed_data import Domain

KEY = KeySigner(Secret(keccak(text="a member")))
DOMAIN = Domain(chain_id=7, contract=bytes(range(20)))
GENESIS, ONE, TWO = bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32


def opened(path: Path) -> Cosigner:
    return Cosigner(path, member=KEY.address, domain=DOMAIN, signer=KEY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "node" / "signed.sqlite"


@pytest.fixture
def cosigner(path: Path) -> Iterator[Cosigner]:
    found = opened(path)
    yield found
    found.close()


def test_what_is_signed_verifies_and_is_on_disk(cosigner: Cosigner, path: Path) -> None:
    signed = cosigner.sign(GENESIS, 5, ONE)
    check_checkpoint(signed, domain=DOMAIN, signer=KEY.address)
    assert (signed.member, signed.genesis, signed.number, signed.hash) == (KEY.address, GENESIS, 5, ONE)
    again = opened(path)  # as after a crash: the first one was not closed
    assert again.last == signed
    again.close()


def test_a_signature_whose_record_fails_does_not_leave(path: Path) -> None:
    cosigner = opened(path)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")  # nobody else can write now
    cosigner._db.execute("PRAGMA busy_timeout=0")
    with pytest.raises(LedgerError, match="nothing was signed"):
        cosigner.sign(GENESIS, 5, ONE)
    assert cosigner.last is None
    blocker.execute("ROLLBACK")
    assert cosigner.sign(GENESIS, 5, TWO).hash == TWO  # nothing was signed for others to see
    assert cosigner._db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL: on disk, not only in a cache
    cosigner.close()


def test_the_same_head_gets_the_same_signature(cosigner: Cosigner) -> None:
    assert cosigner.sign(GENESIS, 5, ONE) == cosigner.sign(GENESIS, 5, ONE)


@pytest.mark.parametrize("restart", [False, True])
def test_a_lower_height_another_hash_and_another_chain_are_refused(path: Path, restart: bool) -> None:
    cosigner = opened(path)
    cosigner.sign(GENESIS, 5, ONE)
    if restart:
        cosigner.close()
        cosigner = opened(path)
    for genesis, number, digest, words in (
        (GENESIS, 4, ONE, "is lower"),
        (GENESIS, 5, TWO, "Another block 5"),
        (TWO, 6, ONE, "another chain"),
    ):
        with pytest.raises(CheckpointRefused, match=words):
            cosigner.sign(genesis, number, digest)
    assert cosigner.sign(GENESIS, 9, TWO).number == 9
    cosigner.close()


def test_a_file_that_is_damaged_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    with pytest.raises(StoreCorrupt, match="cannot be read"):
        opened(path)


# ------------------------------------------------------------------------------------------------ restored backups


def published(cosigner: Cosigner, *heights: int, genesis: bytes = GENESIS) -> list[bytes]:
    return [cosigner.sign(genesis, height, ONE).encode() for height in heights]


def test_a_file_that_is_older_than_what_was_published_is_refused(tmp_path: Path) -> None:
    cosigner = opened(tmp_path / "now.sqlite")
    old, new = published(cosigner, 5, 6)
    cosigner.expect_newest([old, new], GENESIS, KEY.address)
    cosigner.close()
    for name, known in (("lost.sqlite", []), ("backup.sqlite", [5])):
        restored = opened(tmp_path / name)
        published(restored, *known)
        with pytest.raises(StoreCorrupt, match=rf"Block 6 .*{name} does not know .* restored from a backup"):
            restored.expect_newest([new], GENESIS, KEY.address)
        restored.close()


def test_what_lies_on_the_board_and_is_not_this_keys_refuses_nobody(tmp_path: Path) -> None:
    cosigner, another = opened(tmp_path / "one.sqlite"), KeySigner(Secret(keccak(text="an earlier key")))
    published(cosigner, 5)
    earlier = Cosigner(tmp_path / "two.sqlite", member=KEY.address, domain=DOMAIN, signer=another)
    stranger = Cosigner(tmp_path / "three.sqlite", member=another.address, domain=DOMAIN, signer=another)
    elsewhere = opened(tmp_path / "four.sqlite")
    (signed,) = published(elsewhere, 9, genesis=TWO)
    forged = SignedCheckpoint(
        member=KEY.address, genesis=GENESIS, number=9, hash=ONE, signature=bytes(65)
    ).encode()
    board = [b"", b"no checkpoint", *published(earlier, 9), *published(stranger, 9), signed, forged]
    cosigner.expect_newest(board, GENESIS, KEY.address)
    for opened_one in (cosigner, earlier, stranger, elsewhere):
        opened_one.close()
