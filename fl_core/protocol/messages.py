"""Every message of a round, in the order in which a round sends them.

========================  ==================  ==========================================================================
message                   from, to            holds
========================  ==================  ==========================================================================
``RoundHeader``           coordinator, all    everything a round depends on; its digest is on the ledger
:class:`Leaf`             client, all         the signed statement about one encrypted update; public, archived
:class:`Frame`            client, coordinator leaf, sealed shares, ciphertext
``CheckRequest``          coordinator, member the leaves and this member's boxes of the accepted set
``CheckAnswer``           member, all         one value for each accepted contribution, signed; archived
:class:`RevealRequest`    coordinator, member both committed sets, the leaves and this member's boxes of the included set
:class:`Reveal`           member, all         the member's sum of shares over the included set, signed; archived
========================  ==================  ==========================================================================

Messages are immutable, hold only bytes, integers, strings and tuples of them, and are checked when they are made, so a
message that exists obeys the rules. ``decode(encode(m)) == m``; decoders reject over-long, truncated, trailing and
non-canonical input. The wire form is described in ``docs/explanation/wire-format.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fl_core.codec import Reader, Writer, construct
from fl_core.digests import Label, digest
from fl_core.errors import DecodeError
from fl_core.protocol.header import MAX_COHORT, MAX_COMMITTEE, VERSION, ascending_addresses, read_version
from fl_core.protocol.statements import (
    ADDRESS_SIZE,
    DIGEST_SIZE,
    SIGNATURE_SIZE,
    Contribution,
    RevealStatement,
)

MAX_BOX = 36_864  # bytes; a share of 4,096 coefficients is 28,672 or (P4096g) 32,768, HPKE adds 1,136
LEAF_BYTES = 2 + 4 + ADDRESS_SIZE + 8 * DIGEST_SIZE + SIGNATURE_SIZE
MAX_LEAF = 1024
MAX_REQUEST = 1 << 29  # bytes; 10,000 boxes of 30 KB and as many leaves
MAX_REVEAL = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One client's signed statement: what the ledger's trees are made of. Public."""

    statement: Contribution
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.signature) != SIGNATURE_SIZE:
            raise ValueError("a signature has 65 bytes")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        s = self.statement
        w.fixed(s.run, DIGEST_SIZE)
        w.uint(s.round, 4)
        w.fixed(s.member, ADDRESS_SIZE)
        for value in (s.header, s.parent, s.ciphertext, s.boxes, s.dataset, s.weight, s.metrics):
            w.fixed(value, DIGEST_SIZE)
        w.fixed(self.signature, SIGNATURE_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a leaf.

        Raises:
            DecodeError: ``data`` is not the canonical form of a leaf.
        """
        r = Reader(data, limit=MAX_LEAF, what="leaf")
        read_version(r)
        run, number, member = r.fixed(DIGEST_SIZE), r.uint(4), r.fixed(ADDRESS_SIZE)
        names = ("header", "parent", "ciphertext", "boxes", "dataset", "weight", "metrics")
        digests = {name: r.fixed(DIGEST_SIZE) for name in names}
        signature = r.fixed(SIGNATURE_SIZE)
        r.end()
        return construct(
            "leaf",
            lambda: cls(
                statement=Contribution(run=run, round=number, member=member, **digests), signature=signature
            ),
        )


def boxes_digest(boxes: tuple[bytes, ...]) -> bytes:
    """Return the digest over sealed shares that a leaf signs, from the boxes themselves."""
    return boxes_digest_of(tuple(digest(Label.BOX, box) for box in boxes))


def boxes_digest_of(digests: tuple[bytes, ...]) -> bytes:
    """Return the same digest from the boxes' digests, for a member that has only its own box."""
    return digest(Label.BOXES, *digests)


def frame_head(leaf: bytes, boxes: tuple[bytes, ...], ciphertext_bytes: int) -> bytes:
    """Return what a frame begins with: everything but the ciphertext, which is the rest of it."""
    w = Writer()
    w.uint(VERSION, 2)
    w.opaque(leaf, MAX_LEAF)
    w.count(len(boxes), MAX_COMMITTEE)
    for box in boxes:
        w.opaque(box, MAX_BOX)
    w.uint(ciphertext_bytes, 8)
    return w.bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a client sends: the leaf, one sealed share per seat, and the ciphertext.

    The ciphertext of a decoded frame is a read-only view of the frame's bytes: it may be large, and is not copied.
    """

    leaf: Leaf
    boxes: tuple[bytes, ...]
    ciphertext: bytes | memoryview

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        return frame_head(self.leaf.encode(), self.boxes, len(self.ciphertext)) + self.ciphertext

    @classmethod
    def decode(cls, data: bytes, *, ciphertext_bytes: int) -> Self:
        """Read a frame whose ciphertext must have exactly ``ciphertext_bytes`` bytes (from the header).

        Raises:
            DecodeError: ``data`` is not the canonical form of such a frame.
        """
        limit = ciphertext_bytes + MAX_LEAF + MAX_COMMITTEE * (MAX_BOX + 4) + 32
        r = Reader(data, limit=limit, what="frame")
        read_version(r)
        leaf = Leaf.decode(r.opaque(MAX_LEAF))
        boxes = tuple(r.opaque(MAX_BOX) for _ in range(r.count(MAX_COMMITTEE)))
        size = r.uint(8)
        if size != ciphertext_bytes:
            raise DecodeError(f"frame: a ciphertext of this round has {ciphertext_bytes} bytes, not {size}")
        ciphertext = r.view(size)
        r.end()
        return cls(leaf=leaf, boxes=boxes, ciphertext=ciphertext)

    def __repr__(self) -> str:
        member = self.leaf.statement.member.hex()
        return f"Frame(member={member}, boxes={len(self.boxes)}, ciphertext=<{len(self.ciphertext)} bytes>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """One included client's leaf, the digests of all its boxes and the box of the member that is asked."""

    leaf: Leaf
    box_digests: tuple[bytes, ...]
    box: bytes

    def __post_init__(self) -> None:
        if any(len(value) != DIGEST_SIZE for value in self.box_digests):
            raise ValueError("a box digest has 32 bytes")

    def __repr__(self) -> str:
        return f"Sealed(member={self.leaf.statement.member.hex()}, box=<{len(self.box)} bytes>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealRequest:
    """Asks one member for the sum of its shares over the included set.

    Attributes:
        header: Digest of the round's header.
        accepted: The whole accepted set V as (member, contribution digest), ascending by member.
        included: The included set U, ascending by member.
        receipt: The coordinator's signature over its acceptance of this member's own contribution, or empty when the
            member did not contribute.
    """

    header: bytes
    accepted: tuple[tuple[bytes, bytes], ...]
    included: tuple[Sealed, ...]
    receipt: bytes

    def __post_init__(self) -> None:
        if len(self.header) != DIGEST_SIZE:
            raise ValueError("a header's digest has 32 bytes")
        ascending_addresses(tuple(member for member, _ in self.accepted), "accepted set")
        ascending_addresses(tuple(sealed.leaf.statement.member for sealed in self.included), "included set")
        if any(len(value) != DIGEST_SIZE for _, value in self.accepted):
            raise ValueError("a contribution's digest has 32 bytes")
        if len(self.receipt) not in (0, SIGNATURE_SIZE):
            raise ValueError("a receipt is a signature of 65 bytes or empty")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.fixed(self.header, DIGEST_SIZE)
        w.count(len(self.accepted), MAX_COHORT)
        for member, value in self.accepted:
            w.fixed(member, ADDRESS_SIZE)
            w.fixed(value, DIGEST_SIZE)
        w.count(len(self.included), MAX_COHORT)
        for sealed in self.included:
            write_sealed(w, sealed)
        w.opaque(self.receipt, SIGNATURE_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a request.

        Raises:
            DecodeError: ``data`` is not the canonical form of a request.
        """
        r = Reader(data, limit=MAX_REQUEST, what="reveal request")
        read_version(r)
        header = r.fixed(DIGEST_SIZE)
        accepted = tuple((r.fixed(ADDRESS_SIZE), r.fixed(DIGEST_SIZE)) for _ in range(r.count(MAX_COHORT)))
        included = tuple(read_sealed(r) for _ in range(r.count(MAX_COHORT)))
        receipt = r.opaque(SIGNATURE_SIZE)
        r.end()
        return construct(
            "reveal request",
            lambda: cls(header=header, accepted=accepted, included=included, receipt=receipt),
        )


def write_sealed(w: Writer, sealed: Sealed) -> None:
    """Write one entry of a request."""
    w.opaque(sealed.leaf.encode(), MAX_LEAF)
    w.count(len(sealed.box_digests), MAX_COMMITTEE)
    for value in sealed.box_digests:
        w.fixed(value, DIGEST_SIZE)
    w.opaque(sealed.box, MAX_BOX)


def read_sealed(r: Reader) -> Sealed:
    """Read one entry of a request; raises :class:`~fl_core.errors.DecodeError`."""
    leaf = Leaf.decode(r.opaque(MAX_LEAF))
    digests = tuple(r.fixed(DIGEST_SIZE) for _ in range(r.count(MAX_COMMITTEE)))
    return Sealed(leaf=leaf, box_digests=digests, box=r.opaque(MAX_BOX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal:
    """A member's answer: its sum of shares over the included set, and its signature. Public once sent."""

    statement: RevealStatement
    shares: bytes
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.signature) != SIGNATURE_SIZE:
            raise ValueError("a signature has 65 bytes")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        s = self.statement
        w.fixed(s.run, DIGEST_SIZE)
        w.uint(s.round, 4)
        w.fixed(s.member, ADDRESS_SIZE)
        for value in (s.header, s.included, s.shares):
            w.fixed(value, DIGEST_SIZE)
        w.opaque(self.shares, MAX_BOX)
        w.fixed(self.signature, SIGNATURE_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an answer.

        Raises:
            DecodeError: ``data`` is not the canonical form of an answer.
        """
        r = Reader(data, limit=MAX_REVEAL, what="reveal")
        read_version(r)
        run, number, member = r.fixed(DIGEST_SIZE), r.uint(4), r.fixed(ADDRESS_SIZE)
        header, included, digest_of_shares = (r.fixed(DIGEST_SIZE) for _ in range(3))
        shares, signature = r.opaque(MAX_BOX), r.fixed(SIGNATURE_SIZE)
        r.end()
        return construct(
            "reveal",
            lambda: cls(
                statement=RevealStatement(
                    run=run,
                    round=number,
                    member=member,
                    header=header,
                    included=included,
                    shares=digest_of_shares,
                ),
                shares=shares,
                signature=signature,
            ),
        )

    def __repr__(self) -> str:
        return f"Reveal(member={self.statement.member.hex()}, shares=<{len(self.shares)} bytes>)"
