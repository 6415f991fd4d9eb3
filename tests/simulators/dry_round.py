"""One round among parties of the dry run, in steps, so that a test can put an attacker between any two of them.

Everything is deterministic and small: parameter set P2048, five parameters in two blocks, one counter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np

from fl_core.digests import Label, digest
from fl_core.protocol.check_messages import CheckAnswer, CheckRequest, encode_values
from fl_core.protocol.client import Prepared, contribute
from fl_core.protocol.coordinator import BoxSpool, Collector, check_reveal
from fl_core.protocol.dry_parties import DryNotary, Party, make_header, make_parties
from fl_core.protocol.exclusions import NO_EXCLUSIONS, Exclusions
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.member import Committed, answer
from fl_core.protocol.messages import Frame, Leaf, Reveal, RevealRequest
from fl_core.protocol.opening import Aggregate, open_aggregate
from fl_core.protocol.recovery import RecoveredKey, opens, recover_key
from fl_core.protocol.share_check import (
    AcceptedOnLedger,
    answer_check,
    combined_checks,
    judge,
    verify_check_answer,
)
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
        self.sent: dict[bytes, Frame] = {}
        self.exclusions = NO_EXCLUSIONS
        self.checked = False

    @cached_property
    def signers(self) -> dict[bytes, bytes]:
        return {party.address: party.address for party in self.parties}

    def party(self, address: bytes) -> Party:
        return next(party for party in self.parties if party.address == address)

    def new_collector(self, spool: BoxSpool | None = None) -> Collector:
        return Collector(self.header, signers=self.signers, notary=self.notary, spool=spool)

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
            self.deliver(self.prepare(position).frame)

    def deliver(self, frame: Frame) -> None:
        """Hand the coordinator a frame, honest or not."""
        self.collector.accept(self.collector.decode(frame.encode()))
        self.sent[frame.leaf.statement.member] = frame

    # ------------------------------------------------------------------ share check

    @property
    def pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        """V as the ledger's tree takes it."""
        return tuple((a.leaf.statement.member, a.digest) for a in self.collector.accepted)

    @property
    def on_ledger(self) -> AcceptedOnLedger:
        """What the ledger would hold once V = all that was accepted is committed."""
        return AcceptedOnLedger(
            root=self.notary.root(self.pairs), count=len(self.pairs), signers=self.signers
        )

    def check_request(self, position: int) -> CheckRequest:
        asked = self.collector.check_request(self.parties[position].address, receipt=b"")
        return CheckRequest.decode(asked.encode())

    def check_answer(self, position: int, **changes: object) -> CheckAnswer:
        """Let a member answer the share check; ``changes`` replace arguments of ``answer_check``."""
        party = self.parties[position]
        arguments = {
            "header": self.header,
            "request": self.check_request(position),
            "me": party.address,
            "committed": self.on_ledger,
            "transport": party.transport,
            "notary": self.notary,
            "signer": party,
            **changes,
        }
        return answer_check(arguments.pop("header"), arguments.pop("request"), **arguments)

    def say(self, position: int, values: Iterable[int]) -> CheckAnswer:
        """Return a check answer with these values that the party at ``position`` signed, whatever they are."""
        honest, values = self.check_answer(position), tuple(values)
        statement = replace(honest.statement, values=digest(Label.CHECK_VALUES, encode_values(values)))
        return replace(
            honest,
            statement=statement,
            values=values,
            signature=self.parties[position].sign(statement),
        )

    def verify_answer(self, answer: CheckAnswer) -> None:
        verify_check_answer(
            self.header,
            answer,
            accepted_root=self.on_ledger.root,
            accepted_count=self.on_ledger.count,
            signers=self.signers,
            notary=self.notary,
        )

    def judge(self, answers: Iterable[CheckAnswer]) -> Exclusions:
        """Check the answers and return who is left out."""
        values = {}
        for said in answers:
            self.verify_answer(CheckAnswer.decode(said.encode()))
            values[said.statement.member] = said.values
        root = self.on_ledger.root
        combined = [
            (a.leaf.statement.member, combined_checks(self.header, root, a.check_rows))
            for a in self.collector.accepted
        ]
        return judge(self.header, accepted_root=root, combined=combined, answers=values)

    def leave_out(self, exclusions: Exclusions) -> None:
        """Take who is left out out of the sum; from here on U is the rest of V."""
        self.exclusions, self.checked = exclusions, True
        for client in exclusions.clients:
            self.collector.exclude(client, self.sent[client].ciphertext)

    def pass_check(self, *positions: int) -> Exclusions:
        """Let members answer the share check, and act on its outcome."""
        self.leave_out(self.judge(self.check_answer(position) for position in positions))
        return self.exclusions

    # ------------------------------------------------------------------ reveal

    def leaves(self, addresses: Iterable[bytes] | None = None) -> tuple[tuple[bytes, bytes], ...]:
        """Return U as the ledger's tree takes it: these accepted clients, or all that passed the share check."""
        left_out = set(self.exclusions.clients)
        wanted = {a for a, _ in self.pairs if a not in left_out} if addresses is None else set(addresses)
        return tuple(pair for pair in self.pairs if pair[0] in wanted)

    def committed(self, included: Iterable[bytes] | None = None) -> Committed:
        """What the ledger would hold for V = all that was accepted and U = ``included``."""
        chosen = self.leaves(included)
        return Committed(
            accepted_root=self.notary.root(self.pairs),
            accepted_count=len(self.pairs),
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

    def recover(self, *positions: int) -> RecoveredKey:
        """Let members pass the share check, if that is not done, and answer; recover the aggregate key."""
        if not self.checked:
            self.pass_check(*positions)
        return self.recover_from({self.parties[p].address: self.check(self.reveal(p)) for p in positions})

    def recover_from(self, shares: Mapping[bytes, np.ndarray]) -> RecoveredKey:
        """Recover the aggregate key of U from these summed shares."""
        accept = opens(self.header, self.collector.sums, len(self.leaves()))
        return recover_key(self.header, shares, accept=accept)

    def key(self, *positions: int) -> np.ndarray:
        """Like :meth:`recover`; return only the key."""
        return self.recover(*positions).key

    def open(self, key: np.ndarray) -> Aggregate:
        return open_aggregate(self.header, self.collector.sums, len(self.leaves()), key)

    # ------------------------------------------------------------------ for attackers

    def sign(self, position: int, statement: Contribution) -> Leaf:
        """Return ``statement`` signed by a party, whatever it says."""
        return Leaf(statement=statement, signature=self.parties[position].sign(statement))

    def resign(self, position: int, frame: Frame, **changes: object) -> Frame:
        """Return ``frame`` with a changed statement that the party at ``position`` signed."""
        return replace(frame, leaf=self.sign(position, replace(frame.leaf.statement, **changes)))
