"""Opening the weights of a round whose terms pay by examples: two messages, and every check on them.

A leaf commits to its client's weight W, an integer in [1, top], and only the sum of the weights is ever opened. Terms that
pay ``by-examples`` ask for more: after the sum is open, each included client shows W and the salt of its commitment
(step 9 of the protocol, ``docs/explanation/protocol.md``). W is min(examples, cap) in units of cap / top, so whoever reads
the papers learns the number of examples. Under all other terms nobody asks and no node answers.

An opening has no signature: the signed leaf binds the commitment, the commitment binds round, client and weight, so a
second weight for the same leaf is a collision of SHA-256. What a leaf commits to can still be another weight than the one
that the client encrypted; :func:`verify_weight_sum` is what makes that useless. [own]

The client owes: it stores an opening before it leaves, and gives the stored bytes on a retry (``clients.node.register``).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from fl_core.codec import Reader, Writer, construct
from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import VerificationError
from fl_core.protocol.header import MAX_COHORT, VERSION, RoundHeader, ascending_addresses, read_version
from fl_core.protocol.member import Committed
from fl_core.protocol.messages import Leaf
from fl_core.protocol.setup import quantiser_of
from fl_core.protocol.statements import ADDRESS_SIZE, Notary

MAX_WEIGHT_REQUEST = MAX_COHORT * (ADDRESS_SIZE + DIGEST_SIZE) + 64  # bytes
MAX_WEIGHT_OPENING = 128  # bytes
UNITS_BYTES = 4


def commit_weight(header: bytes, member: bytes, salt: bytes, units: int) -> bytes:
    """Return the commitment that a leaf holds; hiding as long as the salt's 32 bytes are secret and uniform.

    Args:
        header: Digest of the round's header.
        member: The client's account.
        salt: 32 secret bytes, fresh for every leaf.
        units: The weight, in [1, top].
    """
    return digest(Label.WEIGHT, salt, header, member, units.to_bytes(UNITS_BYTES, "big"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRequest:
    """Asks an included client to open its weight.

    Attributes:
        header: Digest of the round's header.
        included: The included set U as (member, contribution digest), ascending by member.
    """

    header: bytes
    included: tuple[tuple[bytes, bytes], ...]

    def __post_init__(self) -> None:
        if len(self.header) != DIGEST_SIZE:
            raise ValueError("a header's digest has 32 bytes")
        ascending_addresses(tuple(member for member, _ in self.included), "included set")
        if any(len(value) != DIGEST_SIZE for _, value in self.included):
            raise ValueError("a contribution's digest has 32 bytes")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.fixed(self.header, DIGEST_SIZE)
        w.count(len(self.included), MAX_COHORT)
        for member, value in self.included:
            w.fixed(member, ADDRESS_SIZE)
            w.fixed(value, DIGEST_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a request.

        Raises:
            DecodeError: ``data`` is not the canonical form of a request.
        """
        r = Reader(data, limit=MAX_WEIGHT_REQUEST, what="weight request")
        read_version(r)
        header = r.fixed(DIGEST_SIZE)
        included = tuple((r.fixed(ADDRESS_SIZE), r.fixed(DIGEST_SIZE)) for _ in range(r.count(MAX_COHORT)))
        r.end()
        return construct("weight request", lambda: cls(header=header, included=included))


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightOpening:
    """A client's weight and what shows that its leaf committed to it. Public once sent.

    Attributes:
        header: Digest of the round's header.
        member: The client's account.
        units: The weight, in units of cap / top examples.
        salt: 32 bytes.
    """

    header: bytes
    member: bytes
    units: int
    salt: bytes

    def __post_init__(self) -> None:
        if (len(self.header), len(self.member), len(self.salt)) != (DIGEST_SIZE, ADDRESS_SIZE, DIGEST_SIZE):
            raise ValueError("a header's digest has 32 bytes, an account 20, a salt 32")
        if not 1 <= self.units < 1 << (8 * UNITS_BYTES):
            raise ValueError("a weight is at least 1 and has four bytes")

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.fixed(self.header, DIGEST_SIZE)
        w.fixed(self.member, ADDRESS_SIZE)
        w.uint(self.units, UNITS_BYTES)
        w.fixed(self.salt, DIGEST_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an opening.

        Raises:
            DecodeError: ``data`` is not the canonical form of an opening.
        """
        r = Reader(data, limit=MAX_WEIGHT_OPENING, what="weight opening")
        read_version(r)
        header, member = r.fixed(DIGEST_SIZE), r.fixed(ADDRESS_SIZE)
        units, salt = r.uint(UNITS_BYTES), r.fixed(DIGEST_SIZE)
        r.end()
        return construct("weight opening", lambda: cls(header=header, member=member, units=units, salt=salt))

    def __repr__(self) -> str:
        return f"WeightOpening(member={self.member.hex()})"


def check_weight_request(
    header: RoundHeader,
    request: WeightRequest,
    *,
    me: bytes,
    contribution: bytes,
    committed: Committed,
    notary: Notary,
) -> None:
    """Check a request against the ledger. Run by the client; that its terms pay by examples, the caller checks.

    Obligations, in order:

    1. It is for this header.
    2. Its included set is the one on the ledger, of at least `n_min`.
    3. This client's own contribution is in it.

    Args:
        header: The round.
        request: The request.
        me: This client's account.
        contribution: Digest of the statement that this client signed.
        committed: What the ledger holds.
        notary: Hashes statements.

    Raises:
        VerificationError: The first obligation that is not met; its number is in the message.
    """
    _expect(1, request.header == header.digest, "the request is for another header")
    found = (notary.root(request.included), len(request.included))
    ours = (committed.included_root, committed.included_count)
    _expect(2, found == ours and found[1] >= header.n_min, "not the included set on the ledger")
    mine = dict(request.included).get(me)
    _expect(3, mine == contribution, "this client's contribution is not in the included set")


def verify_weight_opening(header: RoundHeader, opening: WeightOpening, leaf: Leaf) -> None:
    """Check one opening against the signed leaf of its client. Run by the coordinator and by anyone.

    Obligations, in order:

    1. It is for this header.
    2. It is of the client that signed the leaf.
    3. The weight is one that a client can have, from 1 to `top`.
    4. Salt and weight give the commitment in the leaf.

    Raises:
        VerificationError: The first obligation that is not met.
    """
    statement, party = leaf.statement, leaf.statement.member
    _expect(1, opening.header == header.digest == statement.header, "the opening is for another round", party)
    _expect(2, opening.member == party, "the opening is of another client", party)
    _expect(3, opening.units <= quantiser_of(header).law.top, "no client can have this weight", party)
    made = commit_weight(opening.header, opening.member, opening.salt, opening.units)
    _expect(4, hmac.compare_digest(made, statement.weight), "not the weight that the leaf commits to", party)


def verify_weight_sum(
    header: RoundHeader, weights: Mapping[bytes, int], *, included_count: int, weight_units: int
) -> None:
    """Check opened weights against the sum that the aggregate opened. Run by the coordinator and by anyone.

    Obligations, in order:

    1. There are no more weights than included clients.
    2. The weights add up to the weight of the aggregate: exactly where every client opened its own; else what is left is a
       sum that the missing weights, each from 1 to `top`, can have.

    Args:
        header: The round.
        weights: Account -> opened weight, each checked by :func:`verify_weight_opening`.
        included_count: Number of contributions in the included set.
        weight_units: The aggregate's sum of weights.

    Raises:
        VerificationError: The first obligation that is not met. Somebody committed to another weight than it encrypted; who,
            the sum does not tell.
    """
    missing, left = included_count - len(weights), weight_units - sum(weights.values())
    _expect(1, missing >= 0, "more weights were opened than there are included clients")
    fits = missing <= left <= missing * quantiser_of(header).law.top
    _expect(2, fits, "the opened weights do not add up to the weight of the aggregate")


def _expect(number: int, condition: bool, problem: str, party: bytes = b"") -> None:
    if not condition:
        raise VerificationError(f"check ({number}): {problem}", party=party.hex())
