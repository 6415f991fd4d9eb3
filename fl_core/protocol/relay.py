"""What travels between a node and the relay beside the coordinator: signed calls one way, duties the other.

A node connects outward and asks for its duties (:class:`Duty`: a question of the share check, the reveal, a blame opening or for the
holder's weight); its answer goes back in a second call. Every :class:`Call` is signed by the member over everything in it: ledger, member,
what is asked, a stamp and the payload. The stamp is the member's clock in milliseconds and grows with every call; the relay takes each
once, in order, within :data:`WINDOW_S` of its own clock, so nobody can repeat a call or keep one for later.

Duties are not signed: the relay could invent one. The node checks a duty as it checks the same question in a Flower message, against the
round that it began, the member signatures in it and the sets on the ledger, and answers once whoever asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Self

from fl_core.codec import Reader, Writer, construct
from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import DecodeError
from fl_core.protocol.header import VERSION, read_version
from fl_core.protocol.messages import MAX_REQUEST
from fl_core.protocol.statements import ADDRESS_SIZE, SIGNATURE_SIZE

WINDOW_S = 120
"""Seconds by which the clocks of a member and the relay may differ."""

MAX_PAYLOAD = 1 << 22  # bytes; a share check's answer over 10,000 clients has 0.3 MB
MAX_CALL = MAX_PAYLOAD + 1024
MAX_DUTY = MAX_REQUEST + 1024
MAX_WAIT_MS = 60_000


class CallKind(Enum):
    """What a node asks of the relay."""

    POLL = 1  # payload: Poll; answered by a Duty, or by nothing when the wait is over
    ANSWER = 2  # payload: Answer; answered by nothing once it is on disk
    ARCHIVE = 3  # payload: a digest; answered by the archived bytes, in a stream
    BLOCKS = 4  # payload: BlocksAsked; answered by a stream of blocks
    PUBLISH = 5  # payload: a signed checkpoint of the caller; answered by nothing
    CHECKPOINTS = 6  # no payload; answered by write_checkpoints()


class DutyKind(Enum):
    """Which question of the coordinator a duty is."""

    CHECK = 1
    REVEAL = 2
    BLAME = 3
    WEIGHT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One signed call.

    Attributes:
        chain_id: Chain of the ledger.
        contract: Address of its contract.
        member: The caller's account.
        kind: What is asked.
        stamp: Unix time of the member in milliseconds; larger than that of any call before.
        payload: By ``kind``.
        signature: Over :attr:`digest`, by the member's registered key.
    """

    chain_id: int
    contract: bytes
    member: bytes
    kind: CallKind
    stamp: int
    payload: bytes
    signature: bytes

    @property
    def digest(self) -> bytes:
        """What is signed."""
        return call_digest(self.chain_id, self.contract, self.member, self.kind, self.stamp, self.payload)

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.uint(self.chain_id, 8)
        w.fixed(self.contract, ADDRESS_SIZE)
        w.fixed(self.member, ADDRESS_SIZE)
        w.uint(self.kind.value, 1)
        w.uint(self.stamp, 8)
        w.opaque(self.payload, MAX_PAYLOAD)
        w.fixed(self.signature, SIGNATURE_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a call.

        Raises:
            DecodeError: ``data`` is not the canonical form of one.
        """
        r = Reader(data, limit=MAX_CALL, what="relay call")
        read_version(r)
        chain_id, contract, member = r.uint(8), r.fixed(ADDRESS_SIZE), r.fixed(ADDRESS_SIZE)
        kind, stamp, payload = r.uint(1), r.uint(8), r.opaque(MAX_PAYLOAD)
        signature = r.fixed(SIGNATURE_SIZE)
        r.end()

        return construct(
            "relay call",
            lambda: cls(
                chain_id=chain_id,
                contract=contract,
                member=member,
                kind=CallKind(kind),
                stamp=stamp,
                payload=payload,
                signature=signature,
            ),
        )


def call_digest(
    chain_id: int, contract: bytes, member: bytes, kind: CallKind, stamp: int, payload: bytes
) -> bytes:
    """Return what the signature of a call is over."""
    return digest(
        Label.RELAY_CALL,
        VERSION.to_bytes(2, "big"),
        chain_id.to_bytes(8, "big"),
        contract,
        member,
        kind.value.to_bytes(1, "big"),
        stamp.to_bytes(8, "big"),
        payload,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Poll:
    """Asks for a duty.

    Attributes:
        wait_ms: Milliseconds to wait for one, at most :data:`MAX_WAIT_MS`.
        status: The node's public status with its newest prekey; empty when it has not changed.
    """

    wait_ms: int
    status: bytes

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(self.wait_ms, 4)
        w.opaque(self.status, MAX_STATUS)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_STATUS + 8, what="poll")
        wait_ms, status = r.uint(4), r.opaque(MAX_STATUS)
        r.end()
        if wait_ms > MAX_WAIT_MS:
            raise DecodeError(f"poll: a wait is at most {MAX_WAIT_MS} ms")
        return cls(wait_ms=wait_ms, status=status)


MAX_STATUS = 1 << 14  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """One question to a committee member.

    Attributes:
        number: The relay's number of it.
        kind: Which question.
        request: The question's bytes.
    """

    number: int
    kind: DutyKind
    request: bytes

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.uint(self.number, 8)
        w.uint(self.kind.value, 1)
        w.opaque(self.request, MAX_REQUEST)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a duty; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_DUTY, what="duty")
        read_version(r)
        number, kind, request = r.uint(8), r.uint(1), r.opaque(MAX_REQUEST)
        r.end()
        return construct("duty", lambda: cls(number=number, kind=DutyKind(kind), request=request))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A member's answer to a duty.

    Attributes:
        number: The duty's.
        given: Whether the node answers at all; a refusal has no text.
        data: The node's signed answer; empty for a refusal.
    """

    number: int
    given: bool
    data: bytes

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(self.number, 8)
        w.uint(int(self.given), 1)
        w.opaque(self.data, MAX_PAYLOAD - 64)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an answer; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_PAYLOAD, what="answer to a duty")
        number, given, answer = r.uint(8), r.uint(1), r.opaque(MAX_PAYLOAD - 64)
        r.end()
        if given > 1 or (not given and answer):
            raise DecodeError("answer to a duty: a refusal has no text")
        return cls(number=number, given=bool(given), data=answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocksAsked:
    """Asks for blocks of an embedded chain.

    Attributes:
        first: Height of the first one.
        limit: Most blocks.
        wait_ms: Milliseconds to wait for a newer one, at most :data:`MAX_WAIT_MS`.
    """

    first: int
    limit: int
    wait_ms: int

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(self.first, 8)
        w.uint(self.limit, 4)
        w.uint(self.wait_ms, 4)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read it; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=16, what="question for blocks")
        first, limit, wait_ms = r.uint(8), r.uint(4), r.uint(4)
        r.end()
        if wait_ms > MAX_WAIT_MS or not limit:
            raise DecodeError("question for blocks: out of range")
        return cls(first=first, limit=limit, wait_ms=wait_ms)


MAX_CHECKPOINT = 1 << 12  # bytes
MAX_MEMBERS = 1 << 12
MAX_CHECKPOINTS = MAX_MEMBERS * (MAX_CHECKPOINT + 4) + 4  # bytes


def write_checkpoints(checkpoints: Sequence[bytes]) -> bytes:
    """Return encoded checkpoints as one answer of the relay."""
    w = Writer()
    w.count(len(checkpoints), MAX_MEMBERS)
    for checkpoint in checkpoints:
        w.opaque(checkpoint, MAX_CHECKPOINT)
    return w.bytes()


def read_checkpoints(data: bytes) -> tuple[bytes, ...]:
    """Read :func:`write_checkpoints`; raises :class:`~fl_core.errors.DecodeError`."""
    r = Reader(data, limit=MAX_CHECKPOINTS, what="checkpoints")
    found = tuple(r.opaque(MAX_CHECKPOINT) for _ in range(r.count(MAX_MEMBERS)))
    r.end()
    return found


def archive_digest(payload: bytes) -> bytes:
    """Return the digest that a call for archived bytes names; raises :class:`~fl_core.errors.DecodeError`."""
    if len(payload) != DIGEST_SIZE:
        raise DecodeError("a call for archived bytes names one digest")
    return payload
