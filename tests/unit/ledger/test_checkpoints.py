"""A checkpoint has one encoding of fixed size and counts only with its member's signature."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_utils.crypto import keccak

from fl_core.errors import DecodeError, VerificationError
from fl_core.secret import Secret
from ledger.checkpoints import CHECKPOINT_SIZE, SignedCheckpoint, check_checkpoint
from ledger.signer import KeySigner
from ledger.typed_data import Checkpoint, Domain

KEY = KeySigner(Secret(keccak(text="a member")))
DOMAIN = Domain(chain_id=7, contract=bytes(range(20)))
MEMBER, GENESIS, HASH = bytes([1]) * 20, bytes([2]) * 32, bytes([3]) * 32
STATEMENT = Checkpoint(member=MEMBER, genesis=GENESIS, number=9, hash=HASH)
SIGNED = SignedCheckpoint(
    member=MEMBER, genesis=GENESIS, number=9, hash=HASH, signature=KEY.sign_digest(STATEMENT.digest(DOMAIN))
)


def test_a_checkpoint_survives_a_round_trip_and_verifies() -> None:
    encoded = SIGNED.encode()
    assert len(encoded) == CHECKPOINT_SIZE
    assert SignedCheckpoint.decode(encoded) == SIGNED
    check_checkpoint(SIGNED, domain=DOMAIN, signer=KEY.address)


@pytest.mark.parametrize(
    "changed",
    [
        replace(SIGNED, member=bytes(20)),
        replace(SIGNED, genesis=bytes(32)),
        replace(SIGNED, number=10),
        replace(SIGNED, hash=bytes(32)),
        replace(SIGNED, signature=bytes(65)),
    ],
)
def test_a_checkpoint_with_anything_changed_is_refused(changed: SignedCheckpoint) -> None:
    with pytest.raises(VerificationError):
        check_checkpoint(changed, domain=DOMAIN, signer=KEY.address)


def test_a_checkpoint_of_another_ledger_or_key_is_refused() -> None:
    with pytest.raises(VerificationError):
        check_checkpoint(SIGNED, domain=Domain(chain_id=8, contract=DOMAIN.contract), signer=KEY.address)
    with pytest.raises(VerificationError):
        check_checkpoint(SIGNED, domain=DOMAIN, signer=MEMBER)


@pytest.mark.parametrize("size", [0, 1, CHECKPOINT_SIZE - 1, CHECKPOINT_SIZE + 1])
def test_a_checkpoint_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(DecodeError):
        SignedCheckpoint.decode((SIGNED.encode() + b"\0")[:size])


def test_a_checkpoint_of_another_version_is_refused() -> None:
    with pytest.raises(DecodeError, match="version 2"):
        SignedCheckpoint.decode(b"\0\2" + SIGNED.encode()[2:])
