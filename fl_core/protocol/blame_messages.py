"""The two messages of a blame opening: the coordinator's question to a member, and the member's answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from fl_core.codec import Reader, Writer, construct
from fl_core.digests import Label, digest
from fl_core.hashtree import HASH_SIZE
from fl_core.protocol.check_messages import MAX_CHECK_ANSWER, VALUE_BYTES, decode_values, encode_values
from fl_core.protocol.header import MAX_COHORT, VERSION, ascending_addresses, read_version
from fl_core.protocol.messages import MAX_BOX, MAX_REQUEST, Sealed, read_sealed, write_sealed
from fl_core.protocol.statements import ADDRESS_SIZE, DIGEST_SIZE, SIGNATURE_SIZE, BlameStatement

MAX_ROW = 1 << 16
"""Bytes of one ring element on the wire, at most."""

MAX_PROOF = 32
"""Hashes of one proof."""

ROWS = 3
"""Ring elements shown of each ciphertext: the two check elements and the one that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One coefficient of one ring element, both counted from 0, the check elements included."""

    element: int
    coefficient: int

    @property
    def digest(self) -> bytes:
        """What a member signs about it."""
        encoded = (self.element.to_bytes(8, "big"), self.coefficient.to_bytes(4, "big"))
        return digest(Label.BLAME_PLACE, *encoded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a member is shown of one included contribution.

    Attributes:
        sealed: Its leaf and the member's box.
        rows: The two check elements and the failed one, as on the wire.
        proofs: For each of them the siblings in the tree that the leaf's ciphertext root is of.
    """

    sealed: Sealed
    rows: tuple[bytes, ...]
    proofs: tuple[tuple[bytes, ...], ...]

    def __post_init__(self) -> None:
        if len(self.rows) != ROWS or len(self.proofs) != ROWS:
            raise ValueError(f"{ROWS} ring elements with their proofs are shown")

    def __repr__(self) -> str:
        return f"Shown({self.sealed!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlameRequest:
    """Asks one member for one value of each included contribution, and shows that the sum failed there.

    Attributes:
        header: Digest of the round's header.
        key: The aggregate key, encoded.
        place: Where the sum failed.
        included: The included set U, ascending by client.
    """

    header: bytes
    key: bytes
    place: Place
    included: tuple[Shown, ...]

    def __post_init__(self) -> None:
        if len(self.header) != DIGEST_SIZE:
            raise ValueError("a header's digest has 32 bytes")
        clients = tuple(shown.sealed.leaf.statement.member for shown in self.included)
        ascending_addresses(clients, "included set")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.fixed(self.header, DIGEST_SIZE)
        w.opaque(self.key, MAX_BOX)
        w.uint(self.place.element, 8)
        w.uint(self.place.coefficient, 4)
        w.count(len(self.included), MAX_COHORT)
        for shown in self.included:
            write_sealed(w, shown.sealed)
            for row, proof in zip(shown.rows, shown.proofs, strict=True):
                w.opaque(row, MAX_ROW)
                w.count(len(proof), MAX_PROOF)
                for sibling in proof:
                    w.fixed(sibling, HASH_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a request.

        Raises:
            DecodeError: ``data`` is not the canonical form of a request.
        """
        r = Reader(data, limit=MAX_REQUEST, what="blame request")
        read_version(r)
        header, key = r.fixed(DIGEST_SIZE), r.opaque(MAX_BOX)
        place = Place(element=r.uint(8), coefficient=r.uint(4))
        included = tuple(_shown(r) for _ in range(r.count(MAX_COHORT)))
        r.end()
        return construct("blame request", lambda: cls(header=header, key=key, place=place, included=included))


def _shown(r: Reader) -> Shown:
    sealed, rows, proofs = read_sealed(r), [], []
    for _ in range(ROWS):
        rows.append(r.opaque(MAX_ROW))
        proofs.append(tuple(r.fixed(HASH_SIZE) for _ in range(r.count(MAX_PROOF))))
    return Shown(sealed=sealed, rows=tuple(rows), proofs=tuple(proofs))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlameAnswer:
    """A member's values for the included set, in its order, and its signature. Public once sent.

    Attributes:
        statement: What is signed.
        values: One value in [0, q) for each client.
        signature: 65 bytes.
    """

    statement: BlameStatement
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
        for value in (s.header, s.included, s.place, s.values):
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
        r = Reader(data, limit=MAX_CHECK_ANSWER, what="blame answer")
        read_version(r)
        run, number, member = r.fixed(DIGEST_SIZE), r.uint(4), r.fixed(ADDRESS_SIZE)
        header, included, place, digest_of_values = (r.fixed(DIGEST_SIZE) for _ in range(4))
        encoded, signature = r.opaque(MAX_COHORT * VALUE_BYTES), r.fixed(SIGNATURE_SIZE)
        r.end()
        return construct(
            "blame answer",
            lambda: cls(
                statement=BlameStatement(
                    run=run,
                    round=number,
                    member=member,
                    header=header,
                    included=included,
                    place=place,
                    values=digest_of_values,
                ),
                values=decode_values(encoded),
                signature=signature,
            ),
        )
