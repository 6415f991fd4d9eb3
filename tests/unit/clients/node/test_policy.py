"""The holder's policy: every rule alone decides, and says why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clients.node.policy import Policy, decide, decide_plaintext
from tests.simulators.consortium import POLICY, TERMS
from tests.simulators.dry_round import DryRound

HEADER = DryRound(6).header  # n_min 4


def ask(policy=POLICY, *, header=HEADER, terms=TERMS, rounds_done=0):
    return decide(policy, header=header, terms=terms, rounds_done=rounds_done)


def test_a_round_within_every_rule_is_allowed():
    decision = ask()
    assert (decision.allowed, decision.reason) == (True, "every rule of the policy is met")


@pytest.mark.parametrize(
    ("policy", "terms", "done", "reason"),
    [
        ({}, {"task": "other"}, 0, r"allows the tasks \['heart-disease'\], not 'other'"),
        ({"tasks": ()}, {}, 0, r"allows the tasks \[\], not 'heart-disease'"),
        ({"parameter_sets": ("P4096",)}, {}, 0, "does not allow the parameter set 'P2048'"),
        ({"least_partners": 5}, {}, 0, "sums of at least 5 holders, the round allows 4"),
        ({"max_rounds": 7}, {}, 7, "limit of 7 rounds"),
        ({"max_rounds": 0}, {}, 0, "limit of 0 rounds"),
    ],
)
def test_each_rule_alone_refuses_and_gives_its_reason(policy, terms, done, reason):
    import re

    decision = ask(replace(POLICY, **policy), terms=replace(TERMS, **terms), rounds_done=done)
    assert not decision.allowed
    assert re.search(reason, decision.reason)


def test_the_limits_themselves_are_allowed():
    assert ask(replace(POLICY, least_partners=4)).allowed
    assert ask(replace(POLICY, max_rounds=7), rounds_done=6).allowed


def test_the_decision_depends_on_nothing_but_its_arguments():
    assert len({ask() for _ in range(5)}) == 1


def test_the_default_policy_allows_no_task_without_protection_and_only_strong_parameters():
    policy = Policy(tasks=("t",))
    assert policy.parameter_sets == ("P4096",)
    assert policy.least_partners >= 3
    assert not decide_plaintext(policy, "t").allowed


def test_runs_without_protection_need_both_the_permission_and_the_task():
    allowed = Policy(tasks=("t",), allow_plaintext=True)
    assert decide_plaintext(allowed, "t").allowed
    assert not decide_plaintext(allowed, "u").allowed
    assert "without encryption" in decide_plaintext(replace(allowed, allow_plaintext=False), "t").reason
