"""Checkpoints: members say which blocks they executed, by signing a head of their own copy of the chain.

On the wire a checkpoint has a fixed size:

=========  =====================================================================
version    2 bytes: 1
member     address: whose statement it is
genesis    32 bytes: hash of block 0
number     8 bytes: height of the block
hash       32 bytes: the block's hash
signature  EIP-712 ``Checkpoint`` of the ledger's contract, by the member's key
=========  =====================================================================

A member signs heights that only rise, and one hash at each (:class:`ledger.cosigner.Cosigner` keeps to it across crashes); two
signatures that break this rule convict it (:mod:`ledger.misconduct`). A checkpoint at a height vouches for every block below,
since hashes bind their parents. How many make a head final: :mod:`ledger.finality`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from fl_core.codec import Reader, Writer
from fl_core.errors import DecodeError
from ledger.records import ADDRESS_SIZE, WORD_SIZE
from ledger.typed_data import SIGNATURE_SIZE, Checkpoint, Domain, verify

VERSION = 1
CHECKPOINT_SIZE = 2 + ADDRESS_SIZE + WORD_SIZE + 8 + WORD_SIZE + SIGNATURE_SIZE
"""Bytes of a checkpoint on the wire."""
MAX_CHECKPOINTS = 1024
"""Most checkpoints that are looked at together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint as it travels; whether it is signed by whom it names is for :func:`check_checkpoint` to say.

    Attributes:
        member: Account, 20 bytes.
        genesis: Hash of block 0, 32 bytes.
        number: Height, in [0, 2**64).
        hash: Hash of the block at that height, 32 bytes.
        signature: 65 bytes.
    """

    member: bytes
    genesis: bytes
    number: int
    hash: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Return the canonical bytes, :data:`CHECKPOINT_SIZE` of them."""
        w = Writer()
        w.uint(VERSION, 2)
        w.fixed(self.member, ADDRESS_SIZE)
        w.fixed(self.genesis, WORD_SIZE)
        w.uint(self.number, 8)
        w.fixed(self.hash, WORD_SIZE)
        w.fixed(self.signature, SIGNATURE_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a checkpoint.

        Raises:
            DecodeError: ``data`` is not the canonical form of one.
        """
        r = Reader(data, limit=CHECKPOINT_SIZE, what="checkpoint")
        version = r.uint(2)
        if version != VERSION:
            raise DecodeError(f"checkpoint: version {version} is not {VERSION}")
        member, genesis, number = r.fixed(ADDRESS_SIZE), r.fixed(WORD_SIZE), r.uint(8)
        digest, signature = r.fixed(WORD_SIZE), r.fixed(SIGNATURE_SIZE)
        r.end()
        return cls(member=member, genesis=genesis, number=number, hash=digest, signature=signature)

    @property
    def statement(self) -> Checkpoint:
        """What is signed."""
        return Checkpoint(member=self.member, genesis=self.genesis, number=self.number, hash=self.hash)


def check_checkpoint(checkpoint: SignedCheckpoint, *, domain: Domain, signer: bytes) -> None:
    """Check that a member's key signed a checkpoint.

    Args:
        checkpoint: What came.
        domain: The ledger.
        signer: The member's registered signing key, 20 bytes.

    Raises:
        VerificationError: It did not.
    """
    verify(checkpoint.statement.digest(domain), checkpoint.signature, signer)


class CheckpointBoard(Protocol):
    """Where members leave their newest checkpoints for each other. Nothing that it shows is believed."""

    def publish(self, checkpoint: bytes) -> None:
        """Leave this member's checkpoint; it takes the place of the member's earlier one.

        Raises:
            OSError: The board cannot be reached now; publishing again later is right.
        """
        ...

    def checkpoints(self) -> Sequence[bytes]:
        """Return the newest checkpoint of each member, at most :data:`MAX_CHECKPOINTS`, as they were published.

        Raises:
            ChainUnreachable: The board cannot be reached now.
        """
        ...
