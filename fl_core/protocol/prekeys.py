"""Prekeys: the keys that shares are sealed to, one for each short epoch, signed by their member and then erased.

Ciphertexts are archived and boxes may be kept by whoever carried them. What is sealed to a key that no longer exists stays
sealed, also when a member's machine, passphrase and all, is seized later: so a member makes a new transport key pair for
each epoch (about a round), signs it with its registered key, and erases the private half when the epoch is over
(``clients.node.prekeys``). The idea is that of one-time prekeys in [X3DH, section 3].

A seat of the round header names the digest of the prekey, so everybody seals to the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from fl_core.codec import Reader, Writer, construct
from fl_core.errors import DecodeError, VerificationError
from fl_core.protocol.header import VERSION, RoundHeader, read_version
from fl_core.protocol.setup import transport_key_digest
from fl_core.protocol.statements import (
    ADDRESS_SIZE,
    SIGNATURE_SIZE,
    Notary,
    PrekeyStatement,
    StatementSigner,
)
from fl_core.secagg.boxes import PUBLIC_KEY_BYTES, check_public_key

MAX_PREKEY = 2048  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPrekey:
    """A member's transport public key of one epoch. Public.

    Attributes:
        member: The member's account.
        epoch: Number of the epoch, counted by the member, from 1.
        public: The transport public key.
        signature: The member's signature over account, epoch and the key's digest.
    """

    member: bytes
    epoch: int
    public: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.public) != PUBLIC_KEY_BYTES or len(self.signature) != SIGNATURE_SIZE:
            raise ValueError("a prekey is a transport public key and a signature")
        PrekeyStatement(member=self.member, epoch=self.epoch, transport=self.digest)

    @property
    def digest(self) -> bytes:
        """What a seat names."""
        return transport_key_digest(self.public)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.fixed(self.member, ADDRESS_SIZE)
        w.uint(self.epoch, 4)
        w.fixed(self.public, PUBLIC_KEY_BYTES)
        w.fixed(self.signature, SIGNATURE_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a prekey.

        Raises:
            DecodeError: ``data`` is not the canonical form of one.
        """
        r = Reader(data, limit=MAX_PREKEY, what="prekey")
        read_version(r)
        member, epoch = r.fixed(ADDRESS_SIZE), r.uint(4)
        public, signature = r.fixed(PUBLIC_KEY_BYTES), r.fixed(SIGNATURE_SIZE)
        r.end()
        return construct(
            "prekey", lambda: cls(member=member, epoch=epoch, public=public, signature=signature)
        )


def sign_prekey(member: bytes, epoch: int, public: bytes, signer: StatementSigner) -> SignedPrekey:
    """Return a member's signed prekey."""
    statement = PrekeyStatement(member=member, epoch=epoch, transport=transport_key_digest(public))
    return SignedPrekey(member=member, epoch=epoch, public=public, signature=signer.sign(statement))


def check_prekey(prekey: SignedPrekey, *, signer: bytes, notary: Notary) -> None:
    """Check a prekey when it is learnt.

    Obligations, in order:

    1. It can be sealed to.
    2. Its member's registered key signed it.

    Raises:
        VerificationError: The first obligation that is not met.
    """
    party = prekey.member.hex()
    try:
        check_public_key(prekey.public)
    except DecodeError as error:
        raise VerificationError(f"prekey check (1): {error}", party=party) from error
    statement = PrekeyStatement(member=prekey.member, epoch=prekey.epoch, transport=prekey.digest)
    try:
        notary.verify(statement, prekey.signature, signer)
    except VerificationError as error:
        raise VerificationError(f"prekey check (2): {error}", party=party) from error


def check_seats(
    header: RoundHeader, prekeys: Sequence[SignedPrekey], *, signers: Mapping[bytes, bytes], notary: Notary
) -> None:
    """Check the prekeys of a round's committee, in seat order. Run by the client before it seals.

    Obligations, in order:

    1. There is one for every seat, of its member, and the seat names it.
    2. It can be sealed to, and its member's registered key signed it.

    Raises:
        VerificationError: The first obligation that is not met.
    """
    seats = tuple((seat.address, seat.transport_key) for seat in header.committee)
    if tuple((prekey.member, prekey.digest) for prekey in prekeys) != seats:
        raise VerificationError("seat check (1): not the prekeys of the committee", party="coordinator")
    for prekey in prekeys:
        try:
            check_prekey(prekey, signer=signers[prekey.member], notary=notary)
        except VerificationError as error:
            raise VerificationError(f"seat check (2): {error}", party=prekey.member.hex()) from error
