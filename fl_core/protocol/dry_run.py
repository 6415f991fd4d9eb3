"""All parties of one round in one process, in order, with no network and no ledger. Read this first.

:func:`run_round` is the protocol of ``docs/explanation/protocol.md`` as a program: the documentation, the harness of many
tests and the body of benchmarks at once. The ledger appears as the handful of values it would hold. Statements are signed with
Ed25519 under a notary of its own, because the real one (``ledger.notary``) needs the chain's hash functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fl_core.digests import Label, digest
from fl_core.errors import VerificationError
from fl_core.hashtree import leaf_hash, tree_root
from fl_core.protocol.check_messages import CheckAnswer, CheckRequest
from fl_core.protocol.client import contribute
from fl_core.protocol.coordinator import Collector, check_reveal
from fl_core.protocol.header import RoundHeader, Seat
from fl_core.protocol.member import Committed, answer
from fl_core.protocol.messages import Reveal, RevealRequest
from fl_core.protocol.opening import Aggregate, open_aggregate
from fl_core.protocol.recovery import opens, recover_key
from fl_core.protocol.rules import least_n_min, threshold_of
from fl_core.protocol.setup import transport_key_digest
from fl_core.protocol.share_check import (
    AcceptedOnLedger,
    answer_check,
    combined_checks,
    judge,
    verify_check_answer,
)
from fl_core.protocol.statements import ADDRESS_SIZE, Statement
from fl_core.quantise import Block
from fl_core.randomness import SEED_SIZE, RandomSource
from fl_core.secagg.boxes import TransportPrivateKey


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
        """Check a signature; the last of its 65 bytes is padding."""
        try:
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
        return self.key.sign(self.notary.digest(statement)) + b"\x00"


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


def run_round(
    header: RoundHeader,
    parties: Sequence[Party],
    updates: Mapping[bytes, npt.NDArray[np.float32]],
    *,
    examples: Mapping[bytes, int],
    answering: Iterable[bytes],
    notary: DryNotary,
    random: RandomSource,
) -> Aggregate:
    """Run one round.

    Args:
        header: The round.
        parties: Everybody.
        updates: Account -> update of the clients that stay until they have sent; the others drop out.
        examples: Account -> number of examples.
        answering: Accounts of the members that answer; the others are away.
        notary: Signs for all.
        random: Fresh randomness.

    Raises:
        VerificationError: A check failed.
        LocalProtocolError: Fewer members answer than the threshold.
    """
    by_address = {party.address: party for party in parties}
    keys = tuple(by_address[seat.address].transport.public for seat in header.committee)
    signers = {party.address: party.address for party in parties}

    # Clients: quantise, encrypt under a fresh secret, share it, seal the shares, sign. One message each, then they may go.
    sent = [
        contribute(
            header,
            me=address,
            update=update,
            examples=examples[address],
            counters=(0,) * len(header.counters),
            dataset=bytes(32),
            transport_keys=keys,
            signer=by_address[address],
            random=random,
        ).frame.encode()
        for address, update in updates.items()
    ]

    # Coordinator: check and fold each message as it arrives; memory does not grow with the number of clients.
    collector = Collector(header, signers=signers, notary=notary)
    for data in sent:
        collector.accept(collector.decode(data))

    # Ledger: the accepted set V.
    accepted = {a.leaf.statement.member: a for a in collector.accepted}
    pairs = {client: a.digest for client, a in accepted.items()}
    accepted_root = notary.root(list(pairs.items()))

    # Members: one value of each share, under challenges that follow from V. Shares that do not fit are found before any
    # sum is opened, by whoever looks.
    values = {}
    for member in answering:
        party = by_address[member]
        checked = answer_check(
            header,
            CheckRequest.decode(collector.check_request(member, receipt=b"").encode()),
            me=member,
            committed=AcceptedOnLedger(root=accepted_root, count=len(pairs), signers=signers),
            transport=party.transport,
            notary=notary,
            signer=party,
        )
        said = CheckAnswer.decode(checked.encode())
        verify_check_answer(
            header,
            said,
            accepted_root=accepted_root,
            accepted_count=len(pairs),
            signers=signers,
            notary=notary,
        )
        values[member] = said.values
    combined = [(c, combined_checks(header, accepted_root, a.check_rows)) for c, a in accepted.items()]
    exclusions = judge(header, accepted_root=accepted_root, combined=combined, answers=values)

    # Coordinator: takes the others out of the sum. Ledger: the included set U.
    frames = {frame.leaf.statement.member: frame for frame in map(collector.decode, sent)}
    for client in exclusions.clients:
        collector.exclude(client, frames[client].ciphertext)
    included = [(client, value) for client, value in pairs.items() if client not in exclusions.clients]
    root = notary.root(included)
    committed = Committed(
        accepted_root=accepted_root,
        accepted_count=len(pairs),
        included_root=root,
        included_count=len(included),
        signers=signers,
    )

    # Members: check the request against the ledger, open their boxes of U, answer once with the sum of the shares.
    shares = {}
    for member in answering:
        party = by_address[member]
        asked = collector.request(member, [client for client, _ in included], receipt=b"").encode()
        reveal = answer(
            header,
            RevealRequest.decode(asked),
            me=member,
            committed=committed,
            transport=party.transport,
            notary=notary,
            signer=party,
        )
        answered = Reveal.decode(reveal.encode())
        shares[member] = check_reveal(header, answered, included_root=root, signers=signers, notary=notary)

    # Anyone: the aggregate key, without the answers of liars, and the sum it opens. No other sum of this round can ever be
    # opened.
    recovered = recover_key(header, shares, accept=opens(header, collector.sums, len(included)))
    return open_aggregate(header, collector.sums, len(included), recovered.key)
