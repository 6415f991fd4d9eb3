"""What parties sign, and the one seam through which they sign, verify and build trees.

A *statement* is the data under a signature. How it is hashed for signing is the ledger's business (EIP-712, so that a
contract can check it too); the core only needs a :class:`Notary`. ``ledger.notary`` is the real one; the dry run has a
small one of its own, so that this package stays free of any chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

ADDRESS_SIZE = 20
DIGEST_SIZE = 32
SIGNATURE_SIZE = 65


def _check(statement: object) -> None:
    """Every statement is made of a round number, a member's address and digests."""
    for field in fields(statement):  # type: ignore[arg-type]
        value = getattr(statement, field.name)
        if field.name in ("round", "epoch"):
            if not 0 < value < 1 << 32:
                raise ValueError(f"a number of a {field.name} lies in [1, 2^32)")
        elif len(value) != (ADDRESS_SIZE if field.name == "member" else DIGEST_SIZE):
            raise ValueError(f"{field.name} has a wrong length")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What a client says about its encrypted update; the signed part of its leaf.

    Attributes:
        run: Run id.
        round: Round number, from 1.
        member: The client's account on the ledger (20 bytes).
        header: Digest of the round's header: binds model, parameters, cohort and committee.
        parent: Id of the model that was trained from.
        ciphertext: Root of the tree over the ciphertext's ring elements.
        boxes: Digest over the sealed shares, in committee order.
        dataset: Salted commitment to the data set that was used.
        weight: Salted commitment to the number of examples.
        metrics: Salted commitment to the local metrics, bound to the head of the client's logbook
            (:mod:`fl_core.protocol.anchor`).
    """

    run: bytes
    round: int
    member: bytes
    header: bytes
    parent: bytes
    ciphertext: bytes
    boxes: bytes
    dataset: bytes
    weight: bytes
    metrics: bytes

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrekeyStatement:
    """What a member says about the key that shares are sealed to for a while.

    Attributes:
        member: The member's account.
        epoch: Number of the epoch, counted by the member, from 1.
        transport: Digest of the transport public key.
    """

    member: bytes
    epoch: int
    transport: bytes

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStatement:
    """What a member says in the share check: one value for each accepted contribution of this round, before any sum.

    Attributes:
        run: Run id.
        round: Round number, from 1.
        member: The member's account.
        header: Digest of the round's header.
        accepted: Root of the accepted set V.
        values: Digest of the values.
    """

    run: bytes
    round: int
    member: bytes
    header: bytes
    accepted: bytes
    values: bytes

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealStatement:
    """What a member says when it opens its summed share: for this header and this included set, and no other."""

    run: bytes
    round: int
    member: bytes
    header: bytes
    included: bytes
    shares: bytes

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlameStatement:
    """What a member says in a blame opening: one value for each included contribution, at one place of a failed sum.

    Attributes:
        run: Run id.
        round: Round number, from 1.
        member: The member's account.
        header: Digest of the round's header.
        included: Root of the included set U.
        place: Digest of ring element and coefficient.
        values: Digest of the values.
    """

    run: bytes
    round: int
    member: bytes
    header: bytes
    included: bytes
    place: bytes
    values: bytes

    def __post_init__(self) -> None:
        _check(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """The coordinator's receipt: it has ``contribution`` (a statement's digest) of ``member``."""

    run: bytes
    round: int
    member: bytes
    contribution: bytes

    def __post_init__(self) -> None:
        _check(self)


Statement = PrekeyStatement | Contribution | CheckStatement | RevealStatement | BlameStatement | Acceptance


class Notary(Protocol):
    """Hashes, signs and verifies statements and builds the trees whose roots the ledger holds."""

    def digest(self, statement: Statement) -> bytes:
        """Return the 32 bytes that are signed for ``statement``."""
        ...

    def verify(self, statement: Statement, signature: bytes, signer: bytes) -> None:
        """Check that ``signer`` (a 20-byte key address) signed ``statement``.

        Raises:
            VerificationError: It did not.
        """
        ...

    def root(self, leaves: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the root over (member, contribution digest) pairs, whatever their order."""
        ...


class StatementSigner(Protocol):
    """Signs statements with one party's key."""

    def sign(self, statement: Statement) -> bytes:
        """Return a 65-byte signature."""
        ...
