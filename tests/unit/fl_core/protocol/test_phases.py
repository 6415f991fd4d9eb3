"""The table of phases is total: every step in every phase either has one outcome or is refused."""

from __future__ import annotations

from itertools import product

import pytest

from fl_core.errors import LocalProtocolError
from fl_core.protocol.phases import TRANSITIONS, Phase, Step, advance

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
