"""QBFT as Besu encodes it: who the validators of a block are, and which of them sealed it.

The extra data of a header is the RLP list (vanity, validators, vote, round, seals) (Besu, ``QbftExtraDataCodec``):

* vanity: 32 bytes of no meaning
* validators: their addresses, ascending
* vote: empty, or a list of an address and one byte, 0xff to add and nothing to drop
* round: an integer below 2^32; more than 0 where the first proposer did not get its block through
* seals: for each validator that committed, its signature r, s, v (v of 0 or 1) over the header without the seals

A block's hash leaves out seals and round, since nodes may hold different seals for one block. A block is final with seals
of ceil(2n/3) of n validators (Besu, ``BftHelpers.calculateRequiredValidatorQuorum``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self, cast

import rlp
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from fl_core.errors import DecodeError, VerificationError
from ledger.light.header import MAX_EXTRA_BYTES, Header
from ledger.records import ADDRESS_SIZE

VANITY_SIZE = 32
SEAL_SIZE = 65
ADD, DROP = b"\xff", b""
_MAX_ROUND_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A proposal to add or drop a validator.

    Attributes:
        subject: Whom, 20 bytes.
        add: Add, or drop.
    """

    subject: bytes
    add: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraData:
    """The extra data of a QBFT header.

    Attributes:
        vanity: 32 bytes.
        validators: Addresses, 20 bytes each.
        vote: At most one proposal.
        round: In [0, 2**32).
        seals: Signatures, 65 bytes each.
    """

    vanity: bytes = bytes(VANITY_SIZE)
    validators: tuple[bytes, ...]
    vote: Vote | None = None
    round: int = 0
    seals: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        vote = [] if self.vote is None else [self.vote.subject, ADD if self.vote.add else DROP]
        rounds = self.round.to_bytes((self.round.bit_length() + 7) // 8, "big")
        return bytes(rlp.encode([self.vanity, list(self.validators), vote, rounds, list(self.seals)]))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read extra data.

        Raises:
            DecodeError: It is not the canonical form of any.
        """
        if len(data) > MAX_EXTRA_BYTES:
            raise DecodeError(f"QBFT extra data: at most {MAX_EXTRA_BYTES} bytes are accepted")
        try:
            vanity, validators, vote, rounds, seals = cast(list[object], rlp.decode(data))
            decoded = cls(
                vanity=_sized(vanity, VANITY_SIZE),
                validators=tuple(_sized(item, ADDRESS_SIZE) for item in _listed(validators)),
                vote=_vote(_listed(vote)),
                round=int.from_bytes(_sized(rounds, None), "big"),
                seals=tuple(_sized(item, SEAL_SIZE) for item in _listed(seals)),
            )
        except (rlp.exceptions.DecodingError, ValueError, TypeError, RecursionError) as error:
            raise DecodeError("QBFT extra data: not (vanity, validators, vote, round, seals)") from error
        if decoded.round >= 1 << (8 * _MAX_ROUND_BYTES) or decoded.encode() != data:
            raise DecodeError("QBFT extra data: not in its canonical form")
        return decoded


def _sized(item: object, size: int | None) -> bytes:
    if not isinstance(item, bytes) or (size is not None and len(item) != size):
        raise ValueError("a field has the wrong size")
    return item


def _listed(item: object) -> list[object]:
    if not isinstance(item, list | tuple):
        raise ValueError("a field is no list")  # noqa: TRY004 - one error for all malformed input
    return list(item)


def _vote(items: list[object]) -> Vote | None:
    if not items:
        return None
    subject, kind = items
    if kind not in (ADD, DROP):
        raise ValueError("a vote neither adds nor drops")
    return Vote(subject=_sized(subject, ADDRESS_SIZE), add=kind == ADD)


def genesis_extra_data(validators: Iterable[bytes]) -> bytes:
    """Return the extra data of block 0 of a network with these validators."""
    return ExtraData(validators=tuple(sorted(validators))).encode()


def quorum(validators: int) -> int:
    """Return how many of so many validators must seal a block: ceil(2n/3)."""
    return -(-2 * validators // 3)


def block_hash(header: Header) -> bytes:
    """Return a block's hash: that of its header, in BFT chains without seals and round (but for block 0).

    Raises:
        DecodeError: It claims to be a BFT block, and its extra data is not of one.
    """
    if not header.bft or header.number == 0:
        return header.hash_with(header.extra_data)
    extra = ExtraData.decode(header.extra_data)
    return header.hash_with(replace(extra, round=0, seals=()).encode())


def check_seals(header: Header, validators: frozenset[bytes]) -> frozenset[bytes]:
    """Check that enough validators sealed a block; return who did.

    Args:
        header: The block's header.
        validators: Whom the caller believes to be the validators; not those that the header lists.

    Raises:
        VerificationError: The header is of another set of validators, or too few of them sealed it.
        DecodeError: It is no QBFT header.
    """
    if not header.bft:
        raise VerificationError("the block is not one of a QBFT chain")
    extra = ExtraData.decode(header.extra_data)
    if frozenset(extra.validators) != validators or len(extra.validators) != len(validators):
        raise VerificationError(
            f"the block is by another set of {len(extra.validators)} validators than the {len(validators)} expected ones",
            fix="Ask the members who the validators are now.",
        )
    signed = header.hash_with(replace(extra, seals=()).encode())
    signers = frozenset(_signer(signed, seal) for seal in extra.seals) & validators
    needed = quorum(len(validators))
    if len(signers) < needed:
        raise VerificationError(f"{len(signers)} of the {needed} seals that are needed are by its validators")
    return signers


def _signer(digest: bytes, seal: bytes) -> bytes:
    """Return who sealed, or nothing where a seal is not a signature."""
    try:
        return bytes(Signature(seal).recover_public_key_from_msg_hash(digest).to_canonical_address())
    except (BadSignature, ValidationError, ValueError):
        return b""
