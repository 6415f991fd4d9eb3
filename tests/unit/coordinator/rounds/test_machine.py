"""The round machine: effects in the right order, and an illegal step raises and changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coordinator.errors import RoundFailed
from coordinator.rounds.machine import RoundMachine
from fl_core.digests import Label, digest
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.protocol.exclusions import NO_EXCLUSIONS, Exclusion, Exclusions, Reason
from fl_core.protocol.opening import fold
from fl_core.protocol.phases import Phase
from tests.simulators.cheating import bad_shares, false_sum, false_values, wrong_key
from tests.simulators.dry_round import DryRound


class Driven:
    """A machine, and parties that feed it."""

    def __init__(self, count=5):
        self.dry = DryRound(count)  # 5: n_min 4, threshold 4
        self.machine = RoundMachine(self.dry.header, signers=self.dry.signers, notary=self.dry.notary)
        self.prepared = [self.dry.prepare(position).frame for position in range(count)]
        self.frames = [frame.encode() for frame in self.prepared]
        self.dry.collector = self.machine._collector

    def accept(self, *positions):
        for position in positions:
            self.machine.accept(self.frames[position])

    def replace(self, position, frame):
        """Have a client send another frame than its honest one."""
        self.prepared[position], self.frames[position] = frame, frame.encode()

    def value(self, position):
        """The member's honest answer to the machine's question of the share check."""
        asked = self.machine.check_request(self.dry.parties[position].address, b"")
        return self.dry.check_answer(position, request=asked)

    def check(self, *positions):
        """Let members answer the share check; t of them where none is named."""
        for position in positions or range(self.dry.header.threshold):
            self.machine.add_check(self.value(position).encode())

    def ciphertext_of(self, client):
        return next(frame.ciphertext for frame in self.prepared if frame.leaf.statement.member == client)

    def include(self):
        included = self.machine.include(self.ciphertext_of)
        self.dry.exclusions = included.exclusions
        return included

    def answer(self, position):
        """The member's honest answer to the machine's own request."""
        request = self.machine.request(self.dry.parties[position].address, b"")
        return self.dry.reveal(position, request=request)

    def to(self, phase):
        """Bring the machine into ``phase`` on the usual way."""
        m = self.machine
        self.accept(*range(5))
        included = [m.commit, self.check, self.include]
        steps = {
            Phase.OPEN: [],
            Phase.COMMITTED: [m.commit],
            Phase.INCLUDED: included,
            Phase.REVEALED: [*included, self.reveal, m.open],
            Phase.FINALISED: [*included, self.reveal, m.open, m.finalise],
            Phase.ABORTED: [*included, self.reveal, m.abort],
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
        answers = dict(m.checks), dict(m.reveals), m.enough_answers
        return m.phase, m.accepted, *answers, m._collector.sums.tobytes()


@pytest.fixture
def driven():
    return Driven()


def test_a_whole_round_ends_with_the_aggregate_and_the_key(driven):
    driven.accept(0, 1, 2, 4)
    accepted = driven.machine.commit()
    driven.check(0, 1, 3, 4)
    included = driven.include()
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


def test_without_a_dispute_nobody_is_left_out(driven):
    driven.to(Phase.INCLUDED)
    assert driven.dry.exclusions == NO_EXCLUSIONS


STEPS = {
    "commit": (lambda d: d.machine.commit(), {Phase.OPEN}),
    "check_request": (lambda d: d.machine.check_request(d.dry.parties[0].address, b""), {Phase.COMMITTED}),
    "include": (lambda d: d.include(), {Phase.COMMITTED}),
    "request": (lambda d: d.machine.request(d.dry.parties[0].address, b""), {Phase.INCLUDED}),
    "open": (lambda d: d.machine.open(), {Phase.INCLUDED}),
    "finalise": (lambda d: d.machine.finalise(), {Phase.REVEALED}),
    "abort": (lambda d: d.machine.abort(), {Phase.OPEN, Phase.COMMITTED, Phase.INCLUDED, Phase.REVEALED}),
}


# The machine passes through "checked" within one step: judging and taking out of the sum is one decision.
STANDS = [phase for phase in Phase if phase is not Phase.CHECKED]


@pytest.mark.parametrize("phase", STANDS)
@pytest.mark.parametrize("step", STEPS)
def test_a_step_in_a_phase_that_does_not_have_it_raises_and_changes_nothing(driven, phase, step):
    perform, legal = STEPS[step]
    driven.to(phase)
    if phase is Phase.INCLUDED and step == "open":
        driven.reveal()
    if phase is Phase.COMMITTED and step == "include":
        driven.check()
    before = driven.state()
    if phase in legal:
        perform(driven)
        return
    with pytest.raises(LocalProtocolError):
        perform(driven)
    assert driven.state() == before


@pytest.mark.parametrize("phase", [p for p in STANDS if p is not Phase.OPEN])
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


def test_malformed_values_change_nothing(driven):
    driven.to(Phase.COMMITTED)
    before = driven.state()
    for data in (b"nonsense", driven.value(0).encode() + b"\0"):
        with pytest.raises(DecodeError):
            driven.machine.add_check(data)
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
    with pytest.raises(VerificationError, match="of 4 answers no 4 combine to the aggregate key"):
        driven.machine.open()
    driven.machine.abort()
    with pytest.raises(LocalProtocolError):
        driven.machine.open()


# ---------------------------------------------------------------------- share check


def committed(cheat=None, *, count=5, position=2):
    """A machine with its accepted set; the client at ``position`` cheats, if one does."""
    driven = Driven(count)
    if cheat is not None:
        driven.replace(position, cheat(driven.dry, position))
    driven.accept(*range(count))
    driven.machine.commit()
    return driven


@pytest.mark.parametrize(
    ("cheat", "reason", "disputed_by"),
    [(wrong_key, Reason.WRONG_KEY, ()), (lambda dry, p: bad_shares(dry, p, 4), Reason.BAD_SHARES, (4,))],
    ids=["wrong key", "bad shares"],
)
def test_who_cheats_is_left_out_by_name_and_the_sum_is_that_of_the_others(cheat, reason, disputed_by):
    driven = committed(cheat)
    cheater, others = driven.dry.parties[2].address, [0, 1, 3, 4]
    driven.check(*range(5))
    included = driven.include()
    members = tuple(driven.dry.parties[m].address for m in disputed_by)
    assert included.exclusions == Exclusions(
        excluded=(Exclusion(client=cheater, reason=reason, disputed_by=members),), unreliable=()
    )
    assert included.members == tuple(driven.dry.parties[p].address for p in others)
    assert included.root == driven.dry.notary.root(driven.dry.leaves(included.members))
    assert [a.leaf.statement.member for a in driven.machine.accepted] == sorted(driven.dry.signers)
    folded, count = fold(driven.dry.header, (driven.prepared[p].ciphertext for p in others))
    assert np.array_equal(driven.machine._collector.sums, folded)
    driven.reveal()
    opened = driven.machine.open()
    assert (opened.aggregate.count, opened.aggregate.counters, opened.liars) == (count, (8,), ())


def test_the_set_is_included_only_after_t_answers_and_more_can_still_come():
    driven = committed()
    for position in range(4):
        before = driven.state()
        with pytest.raises(RoundFailed, match=f"4 members must answer the share check, {position} did"):
            driven.include()
        assert driven.state() == before
        driven.check(position)
    assert driven.include().exclusions == NO_EXCLUSIONS


def test_with_too_few_that_pass_the_round_fails_with_their_names_and_nothing_is_taken_out():
    driven = Driven()
    for position in (0, 1):
        driven.replace(position, wrong_key(driven.dry, position))
    driven.accept(*range(5))
    driven.machine.commit()
    driven.check()
    before = driven.state()
    with pytest.raises(RoundFailed, match="4 contributions, 3 passed the share check") as failed:
        driven.include()
    for position in (0, 1):
        assert f"{driven.dry.parties[position].address.hex()} (wrong-key)" in str(failed.value)
    assert driven.state() == before
    driven.machine.abort()


def test_the_same_values_twice_are_one_answer():
    driven = committed()
    data = driven.value(0).encode()
    driven.machine.add_check(data)
    before = driven.state()
    driven.machine.add_check(data)
    assert driven.state() == before


def test_second_different_values_name_their_member_and_the_first_ones_stay():
    driven = committed()
    driven.check(0)
    before = driven.state()
    with pytest.raises(VerificationError, match="given other values before") as caught:
        driven.machine.add_check(false_values(driven.dry, 0, {1}).encode())
    assert caught.value.party == driven.dry.parties[0].address.hex()
    assert driven.state() == before


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_values_that_fail_a_check_change_nothing(number):
    driven = committed()
    honest = driven.value(1)
    broken = {
        1: replace(honest, statement=replace(honest.statement, member=bytes(20))),
        2: replace(honest, statement=replace(honest.statement, accepted=bytes(32))),
        3: replace(honest, values=honest.values[::-1]),
        4: replace(honest, signature=driven.dry.parties[0].sign(honest.statement)),
    }[number]
    before = driven.state()
    with pytest.raises(VerificationError, match=rf"check answer \({number}\)"):
        driven.machine.add_check(broken.encode())
    assert driven.state() == before


@pytest.mark.parametrize("phase", [p for p in STANDS if p is not Phase.COMMITTED])
def test_values_before_the_commit_and_after_the_share_check_are_refused(phase):
    data = committed().value(0).encode()
    driven = Driven().to(phase)
    before = driven.state()
    with pytest.raises(VerificationError, match="takes no more check answers"):
        driven.machine.add_check(data)
    assert driven.state() == before


# ---------------------------------------------------------------------- liars at the reveal


def test_a_member_that_lies_at_the_reveal_is_named_and_the_round_completes():
    driven = committed()
    driven.check(*range(5))
    driven.include()
    for position in range(5):
        honest = driven.answer(position)
        reveal = false_sum(driven.dry, position, honest) if position == 3 else honest
        driven.machine.add_reveal(reveal.encode())
    opened = driven.machine.open()
    assert opened.liars == (driven.dry.parties[3].address,)
    assert opened.aggregate.count == 5


def test_a_lie_among_just_t_answers_opens_nothing_until_another_answer_comes():
    driven = committed()
    driven.check()
    driven.include()
    for position in range(4):
        honest = driven.answer(position)
        driven.machine.add_reveal(
            (false_sum(driven.dry, position, honest) if position == 0 else honest).encode()
        )
    with pytest.raises(VerificationError, match="of 4 answers no 4 combine"):
        driven.machine.open()
    driven.machine.add_reveal(driven.answer(4).encode())
    assert driven.machine.open().liars == (driven.dry.parties[0].address,)
