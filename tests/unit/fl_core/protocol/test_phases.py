"""The tables of phases are total: every step in every phase either has one outcome or is refused."""

from __future__ import annotations

from itertools import product

import pytest

from fl_core.errors import LocalProtocolError
from fl_core.protocol.phases import (
    CLIENT,
    MEMBER,
    TRANSITIONS,
    ClientPhase,
    ClientStep,
    MemberPhase,
    MemberStep,
    Phase,
    Step,
    advance,
    advance_client,
    advance_member,
)

OVER = {Phase.FINALISED, Phase.ABORTED}


@pytest.mark.parametrize(("phase", "step"), list(product(Phase, Step)))
def test_every_step_in_every_phase_has_one_outcome_or_is_refused(phase, step):
    if (phase, step) in TRANSITIONS:
        assert advance(phase, step) is TRANSITIONS[phase, step]
    else:
        with pytest.raises(LocalProtocolError, match=f"a round that is {phase.value} cannot {step.value}"):
            advance(phase, step)


def test_the_way_to_a_model_is_this_one_and_no_other():
    way = [Step.COMMIT, Step.CHECK, Step.INCLUDE, Step.REVEAL, Step.FINALISE]
    phase, seen = Phase.OPEN, [Phase.OPEN]
    for step in way:
        phase = advance(phase, step)
        seen.append(phase)
    assert seen == [phase for phase in Phase if phase is not Phase.ABORTED]


def test_no_set_is_included_that_was_not_checked():
    assert [at for at, step in TRANSITIONS if step is Step.INCLUDE] == [Phase.CHECKED]
    assert [at for at, step in TRANSITIONS if step is Step.CHECK] == [Phase.COMMITTED]


def test_every_round_that_is_not_over_can_be_aborted_and_nothing_follows_its_end():
    for phase in Phase:
        steps = {step for at, step in TRANSITIONS if at is phase}
        assert (Step.ABORT in steps) == (phase not in OVER)
        assert not (phase in OVER and steps)


def test_nothing_returns_to_an_earlier_phase():
    order = list(Phase)
    assert all(order.index(after) > order.index(before) for (before, _), after in TRANSITIONS.items())


def test_no_second_key_can_be_opened_in_a_round():
    after_reveal, reachable = {Phase.REVEALED}, set()
    while after_reveal:
        phase = after_reveal.pop()
        for (at, step), after in TRANSITIONS.items():
            if at is phase:
                assert step is not Step.REVEAL
                reachable.add(after)
                after_reveal.add(after)
    assert reachable == OVER


# ---------------------------------------------------------------------- a client


@pytest.mark.parametrize(("phase", "step"), list(product(ClientPhase, ClientStep)))
def test_every_step_of_a_client_in_every_phase_has_one_outcome_or_is_refused(phase, step):
    if (phase, step) in CLIENT:
        assert advance_client(phase, step) is CLIENT[phase, step]
    else:
        with pytest.raises(LocalProtocolError, match=f"a client that has {phase.value} cannot {step.value}"):
            advance_client(phase, step)


def test_a_client_contributes_once_and_never_to_a_round_that_is_over():
    assert [at for at, step in CLIENT if step is ClientStep.CONTRIBUTE] == [ClientPhase.BEGUN]
    assert not [at for at, _ in CLIENT if at is ClientPhase.OVER]
    assert ClientPhase.BEGUN not in CLIENT.values()


# ---------------------------------------------------------------------- a committee member


@pytest.mark.parametrize(("phase", "step"), list(product(MemberPhase, MemberStep)))
def test_every_question_to_a_member_in_every_phase_has_one_outcome_or_is_refused(phase, step):
    if (phase, step) in MEMBER:
        assert advance_member(phase, step) is MEMBER[phase, step]
    else:
        with pytest.raises(LocalProtocolError, match=f"{phase.value} does not answer a {step.value}"):
            advance_member(phase, step)


def test_a_member_that_was_away_answers_the_later_questions_and_no_member_goes_back():
    order = list(MemberPhase)
    assert all(order.index(after) > order.index(before) for (before, _), after in MEMBER.items())
    assert {step for at, step in MEMBER if at is MemberPhase.SEATED} == set(MemberStep)


def test_no_single_shares_are_looked_at_after_the_reveal_but_in_a_blame_opening_and_nothing_follows_that():
    assert [step for at, step in MEMBER if at is MemberPhase.REVEALED] == [MemberStep.BLAME]
    assert not [step for at, step in MEMBER if at is MemberPhase.BLAMED]


def test_the_same_question_leads_to_the_same_phase_from_everywhere():
    for step in MemberStep:
        assert len({after for (_, asked), after in MEMBER.items() if asked is step}) == 1
