"""One round among parties of the dry run, in steps, so that a test can put an attacker between any two of them.

Everything is deterministic and small: parameter set P2048, five parameters in two blocks, one counter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

import numpy as np

from fl_core.protocol.client import Prepared, contribute
from fl_core.protocol.coordinator import Collector, check_reveal, combine
from fl_core.protocol.dry_run import DryNotary, Party, make_header, make_parties
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.member import Committed, answer
from fl_core.protocol.messages import Frame, Leaf, Reveal, RevealRequest
from fl_core.protocol.opening import Aggregate, open_aggregate
from fl_core.protocol.statements import Contribution
from fl_core.quantise import Block
from tests.simulators.insecure_random import InsecureRandomSource

BLOCKS = (Block("a", 3, 1.0), Block("b", 2, 0.5))
EXAMPLES = 700


class DryRound:
    """A round that the test drives.

    Args:
        count: Number of parties; all are clients and members.
        seed: Decides all keys and secrets.
        header: Changes to the header's fields.
    """

    def __init__(self, count: int = 4, *, seed: object = 0, **header: object) -> None:
        self.random = InsecureRandomSource(seed)
        self.notary = DryNotary()
        self.parties = make_parties(count, self.random, self.notary)
        self.header: RoundHeader = replace(
            make_header(self.parties, BLOCKS, counters=("right",), parameter_set="P2048"), **header
        )
        self.collector = self.new_collector()
        self.sent: dict[bytes, Prepared] = {}
        self.included: tuple[bytes, ...] = ()

    @cached_property
    def signers(self) -> dict[bytes, bytes]:
        return {party.address: party.address for party in self.parties}

    def party(self, address: bytes) -> Party:
        return next(party for party in self.parties if party.address == address)

    def new_collector(self) -> Collector:
        return Collector(self.header, signers=self.signers, notary=self.notary)

    # ------------------------------------------------------------------ the honest steps

    def update(self, position: int) -> np.ndarray:
        values = InsecureRandomSource(("update", position)).secret(4 * self.header.parameters).reveal()
        return (np.frombuffer(values, "<u4").astype(np.float64) / 2**31 - 1).astype(np.float32) / 4

    def prepare(self, position: int, **changes: object) -> Prepared:
        """Let a client make its frame; ``changes`` replace arguments of ``contribute``."""
        party = self.parties[position]
        keys = tuple(p.transport.public for p in self.parties)
        arguments = {
            "me": party.address,
            "update": self.update(position),
            "examples": EXAMPLES,
            "counters": (position,),
            "dataset": bytes(32),
            "transport_keys": keys,
            "signer": party,
            "random": self.random,
            **changes,
        }
        header = arguments.pop("header", self.header)
        return contribute(header, **arguments)

    def send(self, *positions: int) -> None:
        """Let clients contribute."""
        for position in positions:
            prepared = self.prepare(position)
            self.sent[self.parties[position].address] = prepared
            self.collector.accept(self.collector.decode(prepared.frame.encode()))

    def leaves(self, addresses: Iterable[bytes] | None = None) -> tuple[tuple[bytes, bytes], ...]:
        wanted = None if addresses is None else set(addresses)
        return tuple(
            (accepted.leaf.statement.member, accepted.digest)
            for accepted in self.collector.accepted
            if wanted is None or accepted.leaf.statement.member in wanted
        )

    def committed(self, included: Iterable[bytes] | None = None) -> Committed:
        """What the ledger would hold for V = all that was accepted and U = ``included``."""
        everybody, chosen = self.leaves(), self.leaves(included)
        return Committed(
            accepted_root=self.notary.root(everybody),
            accepted_count=len(everybody),
            included_root=self.notary.root(chosen),
            included_count=len(chosen),
            signers=self.signers,
        )

    def request(self, position: int, included: Iterable[bytes] | None = None) -> RevealRequest:
        chosen = [member for member, _ in self.leaves(included)]
        return self.collector.request(self.parties[position].address, chosen, receipt=b"")

    def reveal(self, position: int, included: Iterable[bytes] | None = None, **changes: object) -> Reveal:
        """Let a member answer; ``changes`` replace arguments of ``answer``."""
        party = self.parties[position]
        arguments = {
            "header": self.header,
            "request": self.request(position, included),
            "me": party.address,
            "committed": self.committed(included),
            "transport": party.transport,
            "notary": self.notary,
            "signer": party,
            **changes,
        }
        return answer(arguments.pop("header"), arguments.pop("request"), **arguments)

    def check(self, reveal: Reveal, included: Iterable[bytes] | None = None) -> np.ndarray:
        root = self.committed(included).included_root
        return check_reveal(self.header, reveal, included_root=root, signers=self.signers, notary=self.notary)

    def key(self, *positions: int) -> np.ndarray:
        """Let members answer and open the aggregate key."""
        shares = {self.parties[p].address: self.check(self.reveal(p)) for p in positions}
        return combine(self.header, shares)

    def open(self, key: np.ndarray) -> Aggregate:
        return open_aggregate(self.header, self.collector.sums, len(self.leaves()), key)

    # ------------------------------------------------------------------ for attackers

    def sign(self, position: int, statement: Contribution) -> Leaf:
        """Return ``statement`` signed by a party, whatever it says."""
        return Leaf(statement=statement, signature=self.parties[position].sign(statement))

    def resign(self, position: int, frame: Frame, **changes: object) -> Frame:
        """Return ``frame`` with a changed statement that the party at ``position`` signed."""
        return replace(frame, leaf=self.sign(position, replace(frame.leaf.statement, **changes)))
