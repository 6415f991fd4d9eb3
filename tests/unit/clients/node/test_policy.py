"""The holder's policy: every rule alone decides, and says why."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from clients.node.decisions import decide, decide_ckks, decide_plaintext, rulings
from clients.node.policy import Ask, Policy, Usage
from tests.simulators.consortium import POLICY, TERMS
from tests.simulators.dry_round import DryRound

HEADER = DryRound(6).header  # n_min 4


def ask(policy=POLICY, *, header=HEADER, terms=TERMS, rounds_done=0):
    usage = Usage(rounds_done=rounds_done, today=2, ever=5, now=100)
    return decide(policy, header=header, terms=terms, usage=usage)


def test_a_round_within_every_rule_is_allowed():
    decision = ask()
    assert (decision.allowed, decision.reason) == (True, "every rule of the policy is met")


@pytest.mark.parametrize(
    ("policy", "terms", "done", "reason"),
    [
        ({}, {"task": "other"}, 0, r"allows the tasks \['heart-disease'\], not 'other'"),
        ({}, {"task_settings": {"updates": 10**13}}, 0, "updates is 1 to 100000, not 10000000000000"),
        ({}, {"task_settings": {"learning_rate": -1.0}}, 0, "learning_rate is 1e-09 to 100.0, not -1.0"),
        ({}, {"task_settings": {"batch_size": "x" * 999}}, 0, "batch_size is of the type int, not 'xxx"),
        ({"tasks": ()}, {}, 0, r"allows the tasks \[\], not 'heart-disease'"),
        ({"parameter_sets": ("P4096",)}, {}, 0, "does not allow the parameter set 'P2048'"),
        ({"least_partners": 5}, {}, 0, "sums of at least 5 holders, the round allows 4"),
        ({"max_rounds": 7}, {}, 7, "limit of 7 rounds"),
        ({"max_rounds": 0}, {}, 0, "limit of 0 rounds"),
        ({"colluders": 3}, {}, 0, "expects 3 colluding holders: sums need 5 holders"),
        ({"colluders": 5, "least_partners": 2}, {}, 0, "shares more than 5 members"),
        ({"expires": 100}, {}, 0, "has expired"),
        ({"max_rounds_per_day": 2}, {}, 0, "limit of 2 rounds in 24 hours"),
        ({"max_rounds_per_data_set": 5}, {}, 0, "limit of 5 rounds from this data set"),
        ({"max_epsilon": 1.0}, {}, 0, "at most 1; of this run: no privacy loss is stated"),
        ({"allow_blame_opening": False}, {"blame_opening": True}, 0, "no blame opening"),
        ({"bundles": ("aa" * 32,)}, {"bundle": "bb" * 32}, 0, "does not allow the app bundle bbbb"),
    ],
)
def test_each_rule_alone_refuses_and_gives_its_reason(policy, terms, done, reason):
    import re

    decision = ask(replace(POLICY, **policy), terms=replace(TERMS, **terms), rounds_done=done)
    assert not decision.allowed
    assert re.search(reason, decision.reason)


def test_the_new_limits_themselves_are_allowed():
    within = {
        "colluders": 2, "expires": 101, "max_rounds_per_day": 3, "max_rounds_per_data_set": 6,
        "allow_blame_opening": False, "bundles": ("bb" * 32,),
    }  # fmt: skip
    assert ask(replace(POLICY, **within), terms=replace(TERMS, bundle="bb" * 32)).allowed


def test_an_explanation_has_a_ruling_for_every_rule_and_all_that_refuse_are_in_it():
    policy = replace(POLICY, tasks=(), max_rounds=0, expires=1)
    asked = Ask(task="t", protection="P4096", holders=2, usage=Usage(now=5))
    found = rulings(policy, asked)
    assert {one.rule for one in found if not one.allowed} == {
        "expires", "tasks", "parameter_sets", "least_partners", "colluders", "max_rounds"
    }  # fmt: skip
    assert all(one.demands and one.says and bool(one.reason) != one.allowed for one in found)
    decided = {one.rule for one in found}
    assert decided | {"allow_plaintext", "allow_ckks", "release_ckks_model", "checkpoints", "data"} == {
        one.name for one in fields(Policy)
    }


def test_an_end_and_limits_hold_for_the_other_protections_too():
    ckks = replace(POLICY, allow_ckks=True, expires=100, max_rounds_per_day=2)
    for usage, reason in ((Usage(now=100), "expired"), (Usage(now=1, today=2), "24 hours")):
        assert reason in decide_ckks(ckks, terms=TERMS, holders=4, usage=usage).reason
    assert decide_ckks(ckks, terms=TERMS, holders=4, usage=Usage(now=1, today=1)).allowed
    assert not decide_plaintext(Policy(tasks=("t",), allow_plaintext=True, expires=9), "t", 9).allowed


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
