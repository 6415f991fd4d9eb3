"""The round header: everything that a round depends on, in one message whose digest is on the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

from fl_core.codec import Reader, Writer, construct
from fl_core.digests import Label, digest
from fl_core.errors import DecodeError
from fl_core.protocol.statements import ADDRESS_SIZE, DIGEST_SIZE
from fl_core.quantise import Block

VERSION = 1
"""Version of the wire form; the first field of every message."""

MAX_COHORT = 10_000
MAX_COMMITTEE = 128
MAX_BLOCKS = 10_000
MAX_COUNTERS = 16
MAX_NAME = 256  # bytes of a tensor's or counter's name
MAX_HEADER = 4 << 20


def ascending_addresses(values: tuple[bytes, ...], what: str) -> None:
    """Check that ``values`` are addresses in strictly ascending order; raises :class:`ValueError`."""
    if any(len(value) != ADDRESS_SIZE for value in values):
        raise ValueError(f"an address in the {what} has a wrong length")
    if any(a >= b for a, b in pairwise(values)):
        raise ValueError(f"the {what} must be in ascending order without repetition")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One member of the committee and the key that its shares are sealed to."""

    address: bytes
    transport_key: bytes
    """Digest of the transport public key that the member signed for this epoch (:mod:`fl_core.protocol.prekeys`)."""

    def __post_init__(self) -> None:
        if len(self.address) != ADDRESS_SIZE or len(self.transport_key) != DIGEST_SIZE:
            raise ValueError("a seat is an address and a key digest")


@dataclass(frozen=True, kw_only=True)
class RoundHeader:
    """All that a round depends on. Two rounds with the same digest are the same round.

    Attributes:
        chain_id: Chain of the ledger.
        contract: Address of the ledger's contract.
        run: Run id.
        round: Round number, from 1.
        parent: Model id that the round trains from.
        artifact: SHA-256 of that model's file.
        parameter_set: Name of the lattice parameters.
        packing: Name of the packing.
        blocks: Name, size and clip of every tensor, in the order of the flat vector.
        counters: Names of the integers that are summed beside the update and the weight.
        weight_cap: Number of examples from which on a client weighs fully.
        cohort: Accounts of the clients, ascending.
        committee: Members that hold shares, ascending by account; member ``i`` holds the share at point ``i + 1``.
        threshold: Members whose answers open the aggregate key.
        n_min: Least number of contributions in the included set.
        deadline: Unix time in seconds after which no contribution is accepted.
        beacon_number: Number of the beacon block.
        beacon: Hash of the beacon block, later than the registration of the committee's keys.
    """

    chain_id: int
    contract: bytes
    run: bytes
    round: int
    parent: bytes
    artifact: bytes
    parameter_set: str
    packing: str
    blocks: tuple[Block, ...]
    counters: tuple[str, ...]
    weight_cap: int
    cohort: tuple[bytes, ...]
    committee: tuple[Seat, ...]
    threshold: int
    n_min: int
    deadline: int
    beacon_number: int
    beacon: bytes

    def __post_init__(self) -> None:
        if len(self.contract) != ADDRESS_SIZE:
            raise ValueError("the contract's address has a wrong length")
        if any(len(v) != DIGEST_SIZE for v in (self.run, self.parent, self.artifact, self.beacon)):
            raise ValueError("run, parent, artifact and beacon have 32 bytes each")
        if not 1 <= self.round < 1 << 32:
            raise ValueError("a round number lies in [1, 2^32)")
        if not self.blocks or len({block.name for block in self.blocks}) != len(self.blocks):
            raise ValueError("a header names at least one block, and every block once")
        if len(set(self.counters)) != len(self.counters):
            raise ValueError("no counter comes twice")
        if not 1 <= self.weight_cap < 1 << 32:
            raise ValueError("the weight cap lies in [1, 2^32)")
        ascending_addresses(self.cohort, "cohort")
        ascending_addresses(tuple(seat.address for seat in self.committee), "committee")
        if not 1 <= self.threshold <= len(self.committee):
            raise ValueError("the threshold lies between 1 and the size of the committee")
        if not 1 <= self.n_min <= len(self.cohort):
            raise ValueError("n_min lies between 1 and the size of the cohort")

    @property
    def parameters(self) -> int:
        """Number of model parameters."""
        return sum(block.size for block in self.blocks)

    @property
    def length(self) -> int:
        """Length of the encrypted vector: parameters, the weight, the counters."""
        return self.parameters + 1 + len(self.counters)

    @cached_property
    def digest(self) -> bytes:
        """The round's digest: 32 bytes that every signature, box and public element is bound to."""
        return digest(Label.ROUND_HEADER, self.encode())

    def point_of(self, member: bytes) -> int:
        """Return the point at which ``member`` holds its shares, from 1.

        Raises:
            ValueError: ``member`` has no seat.
        """
        return [seat.address for seat in self.committee].index(member) + 1

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        w = Writer()
        w.uint(VERSION, 2)
        w.uint(self.chain_id, 8)
        w.fixed(self.contract, ADDRESS_SIZE)
        w.fixed(self.run, DIGEST_SIZE)
        w.uint(self.round, 4)
        w.fixed(self.parent, DIGEST_SIZE)
        w.fixed(self.artifact, DIGEST_SIZE)
        w.text(self.parameter_set, MAX_NAME)
        w.text(self.packing, MAX_NAME)
        w.count(len(self.blocks), MAX_BLOCKS)
        for block in self.blocks:
            w.text(block.name, MAX_NAME)
            w.uint(block.size, 8)
            w.float64(block.clip)
        w.count(len(self.counters), MAX_COUNTERS)
        for name in self.counters:
            w.text(name, MAX_NAME)
        w.uint(self.weight_cap, 4)
        w.count(len(self.cohort), MAX_COHORT)
        for address in self.cohort:
            w.fixed(address, ADDRESS_SIZE)
        w.count(len(self.committee), MAX_COMMITTEE)
        for seat in self.committee:
            w.fixed(seat.address, ADDRESS_SIZE)
            w.fixed(seat.transport_key, DIGEST_SIZE)
        w.uint(self.threshold, 2)
        w.uint(self.n_min, 4)
        w.uint(self.deadline, 8)
        w.uint(self.beacon_number, 8)
        w.fixed(self.beacon, DIGEST_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a header.

        Raises:
            DecodeError: ``data`` is not the canonical form of a header.
        """
        r = Reader(data, limit=MAX_HEADER, what="round header")
        read_version(r)
        values = {
            "chain_id": r.uint(8),
            "contract": r.fixed(ADDRESS_SIZE),
            "run": r.fixed(DIGEST_SIZE),
            "round": r.uint(4),
            "parent": r.fixed(DIGEST_SIZE),
            "artifact": r.fixed(DIGEST_SIZE),
            "parameter_set": r.text(MAX_NAME),
            "packing": r.text(MAX_NAME),
            "blocks": tuple(_block(r) for _ in range(r.count(MAX_BLOCKS))),
            "counters": tuple(r.text(MAX_NAME) for _ in range(r.count(MAX_COUNTERS))),
            "weight_cap": r.uint(4),
            "cohort": tuple(r.fixed(ADDRESS_SIZE) for _ in range(r.count(MAX_COHORT))),
            "committee": tuple(_seat(r) for _ in range(r.count(MAX_COMMITTEE))),
            "threshold": r.uint(2),
            "n_min": r.uint(4),
            "deadline": r.uint(8),
            "beacon_number": r.uint(8),
            "beacon": r.fixed(DIGEST_SIZE),
        }
        r.end()
        return construct("round header", lambda: cls(**values))  # type: ignore[arg-type]


def read_version(r: Reader) -> None:
    """Take the version off a message and refuse any but ours; raises ``DecodeError``."""
    version = r.uint(2)
    if version != VERSION:
        raise DecodeError(
            f"this software speaks version {VERSION} of the wire form, the message has version {version}"
        )


def _block(r: Reader) -> Block:
    name, size, clip = r.text(MAX_NAME), r.uint(8), r.float64()
    return construct("block", lambda: Block(name=name, size=size, clip=clip))


def _seat(r: Reader) -> Seat:
    return Seat(address=r.fixed(ADDRESS_SIZE), transport_key=r.fixed(DIGEST_SIZE))
