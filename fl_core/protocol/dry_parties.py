"""Who takes part in a dry run, and in which round: keys made on the spot, and a notary without a chain.

The ledger's own notary (``ledger.notary``) needs the chain's hash functions; this one signs statements with Ed25519, so that the
protocol runs with nothing but this package. Tests and benchmarks use both names and keys; the product never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fl_core.digests import Label, digest
from fl_core.errors import VerificationError
from fl_core.hashtree import leaf_hash, tree_root
from fl_core.protocol.header import RoundHeader, Seat
from fl_core.protocol.rules import least_n_min, threshold_of
from fl_core.protocol.setup import transport_key_digest
from fl_core.protocol.statements import ADDRESS_SIZE, Statement
from fl_core.quantise import Block
from fl_core.randomness import SEED_SIZE, RandomSource
from fl_core.secagg.boxes import TransportPrivateKey

_PADDING = bytes(1)
"""Ends a signature: Ed25519's have 64 bytes, the ledger's 65."""


class DryNotary:
    """Signs and verifies for all parties of a dry run."""

    def __init__(self) -> None:
        self._keys: dict[bytes, Ed25519PublicKey] = {}

    def enrol(self, key: Ed25519PrivateKey) -> bytes:
        """Register a party's key and return its address."""
        public = key.public_key()
        address = digest(Label.SHARES, public.public_bytes_raw())[-ADDRESS_SIZE:]
        self._keys[address] = public
        return address

    def digest(self, statement: Statement) -> bytes:
        """Return the digest of a statement's fields."""
        values = (v if isinstance(v, bytes) else v.to_bytes(4, "big") for v in astuple(statement))
        return digest(Label.AGGREGATE, type(statement).__name__.encode(), *values)

    def verify(self, statement: Statement, signature: bytes, signer: bytes) -> None:
        """Check a signature; the last of its 65 bytes is padding, and zero."""
        try:
            if signature[64:] != _PADDING:
                raise InvalidSignature
            self._keys[signer].verify(signature[:64], self.digest(statement))
        except (InvalidSignature, KeyError) as error:
            raise VerificationError("the signature was not made by this key", party=signer.hex()) from error

    def root(self, leaves: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the root over sorted (member, digest) pairs."""
        return tree_root([leaf_hash(member, value) for member, value in sorted(leaves)])


@dataclass(frozen=True)
class Party:
    """A data holder: client and committee member in one."""

    address: bytes
    transport: TransportPrivateKey
    key: Ed25519PrivateKey
    notary: DryNotary

    def sign(self, statement: Statement) -> bytes:
        """Return a signature of 65 bytes."""
        return self.key.sign(self.notary.digest(statement)) + _PADDING


def make_parties(count: int, random: RandomSource, notary: DryNotary) -> tuple[Party, ...]:
    """Return ``count`` parties with fresh keys, in ascending order of their addresses."""
    parties = []
    for _ in range(count):
        key = Ed25519PrivateKey.from_private_bytes(random.secret(SEED_SIZE).reveal())
        transport = TransportPrivateKey.from_seed(random.secret(SEED_SIZE))
        parties.append(Party(notary.enrol(key), transport, key, notary))
    return tuple(sorted(parties, key=lambda party: party.address))


def make_header(
    parties: Sequence[Party],
    blocks: tuple[Block, ...],
    *,
    counters: tuple[str, ...] = (),
    parameter_set: str = "P4096",
) -> RoundHeader:
    """Return a header in which every party is client and member. On the ledger: its digest."""
    return RoundHeader(
        chain_id=1,
        contract=bytes(ADDRESS_SIZE),
        run=digest(Label.TERMS, b"dry run"),
        round=1,
        parent=bytes(32),
        artifact=bytes(32),
        parameter_set=parameter_set,
        packing="PACK15",
        blocks=blocks,
        counters=counters,
        weight_cap=1000,
        cohort=tuple(party.address for party in parties),
        committee=tuple(
            Seat(address=p.address, transport_key=transport_key_digest(p.transport.public)) for p in parties
        ),
        threshold=threshold_of(len(parties)),
        n_min=least_n_min(len(parties)),
        deadline=0,
        beacon_number=0,
        beacon=bytes(32),
    )
