"""The two messages of the share check: the coordinator's question to a member, and the member's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fl_core.codec import Reader, Writer, construct
from fl_core.errors import DecodeError
from fl_core.protocol.header import MAX_COHORT, VERSION, ascending_addresses, read_version
from fl_core.protocol.messages import MAX_REQUEST, Sealed, read_sealed, write_sealed
from fl_core.protocol.statements import ADDRESS_SIZE, DIGEST_SIZE, SIGNATURE_SIZE, CheckStatement

VALUE_BYTES = 8
"""Bytes of one value in a check answer, little-endian."""

NO_VALUE = (1 << 64) - 1
"""Stands for a box that does not open to a share; above every modulus."""

MAX_CHECK_ANSWER = 1 << 18  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """Asks one member for one value of each accepted contribution.

    Attributes:
        header: Digest of the round's header.
        accepted: The accepted set V, ascending by client.
        receipt: The coordinator's signature over its acceptance of this member's own contribution, or empty when the
            member did not contribute.
    """

    header: bytes
    accepted: tuple[Sealed, ...]
    receipt: bytes

    def __post_init__(self) -> None:
        if len(self.header) != DIGEST_SIZE:
            raise ValueError("a header's digest has 32 bytes")
        ascending_addresses(tuple(sealed.leaf.statement.member for sealed in self.accepted), "accepted set")
        if len(self.receipt) not in (0, SIGNATURE_SIZE):
            raise ValueError("a receipt is a signature of 65 bytes or empty")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.fixed(self.header, DIGEST_SIZE)
        w.count(len(self.accepted), MAX_COHORT)
        for sealed in self.accepted:
            write_sealed(w, sealed)
        w.opaque(self.receipt, SIGNATURE_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a request.

        Raises:
            DecodeError: ``data`` is not the canonical form of a request.
        """
        r = Reader(data, limit=MAX_REQUEST, what="check request")
        read_version(r)
        header = r.fixed(DIGEST_SIZE)
        accepted = tuple(read_sealed(r) for _ in range(r.count(MAX_COHORT)))
        receipt = r.opaque(SIGNATURE_SIZE)
        r.end()
        return construct("check request", lambda: cls(header=header, accepted=accepted, receipt=receipt))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckAnswer:
    """A member's values for the accepted set, in its order, and its signature. Public once sent.

    Attributes:
        statement: What is signed.
        values: One value in [0, q) for each client, or :data:`NO_VALUE`.
        signature: 65 bytes.
    """

    statement: CheckStatement
    values: tuple[int, ...]
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
        for value in (s.header, s.accepted, s.values):
            w.fixed(value, DIGEST_SIZE)
        w.opaque(encode_values(self.values), MAX_COHORT * VALUE_BYTES)
        w.fixed(self.signature, SIGNATURE_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an answer.

        Raises:
            DecodeError: ``data`` is not the canonical form of an answer.
        """
        r = Reader(data, limit=MAX_CHECK_ANSWER, what="check answer")
        read_version(r)
        run, number, member = r.fixed(DIGEST_SIZE), r.uint(4), r.fixed(ADDRESS_SIZE)
        header, accepted, digest_of_values = (r.fixed(DIGEST_SIZE) for _ in range(3))
        encoded, signature = r.opaque(MAX_COHORT * VALUE_BYTES), r.fixed(SIGNATURE_SIZE)
        r.end()
        return construct(
            "check answer",
            lambda: cls(
                statement=CheckStatement(
                    run=run,
                    round=number,
                    member=member,
                    header=header,
                    accepted=accepted,
                    values=digest_of_values,
                ),
                values=decode_values(encoded),
                signature=signature,
            ),
        )


def encode_values(values: tuple[int, ...]) -> bytes:
    """Return values as the bytes that are sent and whose digest is signed."""
    return b"".join(value.to_bytes(VALUE_BYTES, "little") for value in values)


def decode_values(encoded: bytes) -> tuple[int, ...]:
    """Invert :func:`encode_values`.

    Raises:
        DecodeError: More values than a cohort has clients, or another number of bytes than of whole values.
    """
    if len(encoded) > MAX_COHORT * VALUE_BYTES or len(encoded) % VALUE_BYTES:
        raise DecodeError(f"values: at most {MAX_COHORT} of {VALUE_BYTES} bytes, not {len(encoded)} bytes")
    parts = (encoded[at : at + VALUE_BYTES] for at in range(0, len(encoded), VALUE_BYTES))
    return tuple(int.from_bytes(part, "little") for part in parts)
