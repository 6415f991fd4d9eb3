"""The round machine: effects in the right order, and an illegal step raises and changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.errors import RoundFailed
from coordinator.rounds.machine import RoundMachine
from fl_core.digests import Label, digest
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.protocol.phases import Phase
from tests.simulators.dry_round import DryRound


class Driven:
    """A machine, and parties that feed it."""

    def __init__(self, count=5):
        self.dry = DryRound(count)  # 5: n_min 4, threshold 4
        self.machine = RoundMachine(self.dry.header, signers=self.dry.signers, notary=self.dry.notary)
        self.frames = [self.dry.prepare(position).frame.encode() for position in range(count)]
        self.dry.collector = self.machine._collector

    def accept(self, *positions):
        for position in positions:
            self.machine.accept(self.frames[position])

    def answer(self, position):
        """The member's honest answer to the machine's own request."""
        request = self.machine.request(self.dry.parties[position].address, b"")
        return self.dry.reveal(position, request=request)

    def to(self, phase):
        """Bring the machine into ``phase`` on the usual way."""
        m = self.machine
        self.accept(*range(5))
        steps = {
            Phase.OPEN: [],
            Phase.COMMITTED: [m.commit],
            Phase.INCLUDED: [m.commit, m.include],
            Phase.REVEALED: [m.commit, m.include, self.reveal, m.open],
            Phase.FINALISED: [m.commit, m.include, self.reveal, m.open, m.finalise],
            Phase.ABORTED: [m.commit, m.include, self.reveal, m.abort],
        }[phase]
        for step in steps:
            step()
        assert m.phase is phase
        return self

    def reveal(self):
        self.last = [self.answer(p).encode() for p in range(self.dry.header.threshold)]
        for data in self.last:
            self.machine.add_reveal(data)

    def state(self):
        m = self.machine
        return m.phase, m.accepted, dict(m.reveals), m.enough_answers, m._collector.sums.tobytes()


@pytest.fixture
def driven():
    return Driven()


def test_a_whole_round_ends_with_the_aggregate_and_the_key(driven):
    driven.accept(0, 1, 2, 4)
    accepted = driven.machine.commit()
    included = driven.machine.include()
    members = sorted(driven.dry.parties[p].address for p in (0, 1, 2, 4))
    assert accepted.count == 4
    assert included.members == tuple(members)
    assert included.root == accepted.root == driven.dry.notary.root(driven.dry.leaves())
    for position in (0, 1, 3):
        driven.machine.add_reveal(driven.answer(position).encode())
        assert not driven.machine.enough_answers
    driven.machine.add_reveal(driven.answer(2).encode())
    assert driven.machine.enough_answers
    opened = driven.machine.open()
    assert opened.aggregate.count == 4
    assert np.array_equal(driven.dry.open(opened.key).sums, opened.aggregate.sums)
    driven.machine.finalise()
    assert driven.machine.phase is Phase.FINALISED


def test_exclusions_are_a_document_with_a_digest(driven):
    driven.accept(0, 1, 2, 3)
    driven.machine.commit()
    included = driven.machine.include()
    assert included.exclusions == b"[]"
    assert included.exclusions_digest == digest(Label.EXCLUSIONS, b"[]")


STEPS = {
    "commit": (lambda d: d.machine.commit(), {Phase.OPEN}),
    "include": (lambda d: d.machine.include(), {Phase.COMMITTED}),
    "request": (lambda d: d.machine.request(d.dry.parties[0].address, b""), {Phase.INCLUDED}),
    "open": (lambda d: d.machine.open(), {Phase.INCLUDED}),
    "finalise": (lambda d: d.machine.finalise(), {Phase.REVEALED}),
    "abort": (lambda d: d.machine.abort(), {Phase.OPEN, Phase.COMMITTED, Phase.INCLUDED, Phase.REVEALED}),
}


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("step", STEPS)
def test_a_step_in_a_phase_that_does_not_have_it_raises_and_changes_nothing(driven, phase, step):
    perform, legal = STEPS[step]
    driven.to(phase)
    if phase is Phase.INCLUDED and step == "open":
        driven.reveal()
    before = driven.state()
    if phase in legal:
        perform(driven)
        return
    with pytest.raises(LocalProtocolError):
        perform(driven)
    assert driven.state() == before


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.OPEN])
def test_a_contribution_after_the_commit_is_refused_and_changes_nothing(phase):
    driven = Driven(6)
    late = driven.frames[5]
    driven.to(phase)
    before = driven.state()
    with pytest.raises(VerificationError, match="takes no more contributions"):
        driven.machine.accept(late)
    assert driven.state() == before


@pytest.mark.parametrize("count", range(4))
def test_too_few_contributions_are_never_committed(driven, count):
    driven.accept(*range(count))
    with pytest.raises(RoundFailed, match=f"a sum needs 4 contributions, {count} arrived"):
        driven.machine.commit()
    assert driven.machine.phase is Phase.OPEN
    driven.accept(*range(count, 4))
    assert driven.machine.commit().count == 4


def test_too_few_answers_open_nothing_and_more_can_still_come(driven):
    driven.to(Phase.INCLUDED)
    for position in range(3):
        driven.machine.add_reveal(driven.answer(position).encode())
        with pytest.raises(RoundFailed, match=f"4 members must answer, {position + 1} did"):
            driven.machine.open()
    driven.machine.add_reveal(driven.answer(4).encode())
    assert driven.machine.open()


def test_the_key_is_opened_once(driven):
    driven.to(Phase.REVEALED)
    with pytest.raises(LocalProtocolError):
        driven.machine.open()


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.COMMITTED])
def test_an_answer_before_the_included_set_exists_is_our_own_error(driven, phase):
    driven.to(phase)
    with pytest.raises(LocalProtocolError):
        driven.machine.add_reveal(b"")


@pytest.mark.parametrize("phase", [Phase.REVEALED, Phase.FINALISED, Phase.ABORTED])
def test_an_answer_that_comes_too_late_is_refused_and_changes_nothing(driven, phase):
    driven.to(phase)
    before = driven.state()
    with pytest.raises(VerificationError, match="takes no more answers"):
        driven.machine.add_reveal(driven.last[0])
    assert driven.state() == before


def test_malformed_input_changes_nothing(driven):
    before = driven.state()
    with pytest.raises(DecodeError):
        driven.machine.accept(b"nonsense")
    assert driven.state() == before
    driven.to(Phase.INCLUDED)
    before = driven.state()
    for data in (b"nonsense", driven.answer(0).encode() + b"\0"):
        with pytest.raises(DecodeError):
            driven.machine.add_reveal(data)
    assert driven.state() == before


def test_the_same_answer_twice_is_one_answer(driven):
    driven.to(Phase.INCLUDED)
    data = driven.answer(0).encode()
    driven.machine.add_reveal(data)
    before = driven.state()
    driven.machine.add_reveal(data)
    assert driven.state() == before


def test_a_second_different_answer_names_its_member_and_the_first_one_stays(driven):
    driven.to(Phase.INCLUDED)
    honest = driven.answer(0)
    lie = bytes(len(honest.shares))
    statement = replace(honest.statement, shares=digest(Label.SHARES, lie))
    other = replace(honest, shares=lie, statement=statement, signature=driven.dry.parties[0].sign(statement))
    driven.machine.add_reveal(honest.encode())
    before = driven.state()
    with pytest.raises(VerificationError, match="another answer") as caught:
        driven.machine.add_reveal(other.encode())
    assert caught.value.party == driven.dry.parties[0].address.hex()
    assert driven.state() == before


def test_a_key_that_does_not_open_the_sum_ends_the_round(driven):
    """All members lie together, consistently: the check elements refuse, and nothing else can be opened."""
    driven.to(Phase.INCLUDED)
    honest = [driven.answer(position) for position in range(4)]
    zero = bytes(len(honest[0].shares))
    for position, reveal in enumerate(honest):
        statement = replace(reveal.statement, shares=digest(Label.SHARES, zero))
        signature = driven.dry.parties[position].sign(statement)
        driven.machine.add_reveal(
            replace(reveal, shares=zero, statement=statement, signature=signature).encode()
        )
    with pytest.raises(VerificationError, match="does not open the check elements"):
        driven.machine.open()
    assert driven.machine.phase is Phase.REVEALED
    with pytest.raises(LocalProtocolError):
        driven.machine.open()
    driven.machine.abort()
