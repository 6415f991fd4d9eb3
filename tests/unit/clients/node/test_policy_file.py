"""The section [policy]: strict, and an error names the line and what to write instead."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace

import pytest

from clients.node.new_house import toml_value
from clients.node.policy import Policy
from clients.node.policy_file import doubts, read_policy
from fl_core.errors import InputError
from tests.architecture.sources import ROOT

GOOD = 'name = "A"\n\n[policy]\ntasks = ["heart-disease"]\n'


def read(text: str) -> Policy:
    return read_policy(tomllib.loads(text)["policy"], text=text, file="node.toml")


def test_a_policy_of_one_line_has_the_safe_defaults():
    assert read(GOOD) == Policy(tasks=("heart-disease",))


def test_every_rule_survives_being_written_and_read():
    policy = Policy(
        tasks=("a", "b"),
        parameter_sets=("P4096g",),
        least_partners=5,
        max_rounds=7,
        allow_ckks=True,
        colluders=2,
        max_rounds_per_day=3,
        max_rounds_per_data_set=9,
        max_epsilon=2.5,
        allow_blame_opening=False,
        bundles=("ab" * 32,),
        expires=1_900_000_000,
        data=(("a", "cardiology"),),
    )
    text = "[policy]\n" + "".join(
        f"{one.name} = {toml_value(getattr(policy, one.name))}\n" for one in fields(policy)
    )
    assert read(text) == policy


@pytest.mark.parametrize(
    ("line", "message", "fix"),
    [
        (
            "least_partner = 4",
            "line 5: the policy has no rule 'least_partner'",
            "Did you mean 'least_partners'?",
        ),
        ("allow_plain = true", "no rule 'allow_plain'", "Did you mean 'allow_plaintext'?"),
        ("zzz = 1", "no rule 'zzz'", "The keys are tasks"),
        ('parameter_sets = "P4096"', "line 5: parameter_sets is a list of strings", "policy.md"),
        ("bundles = ['xyz']", "64 lower-case hexadecimal digits", "policy.md"),
        ("allow_ckks = 1", "is true or false", "policy.md"),
        ("max_rounds = -1", "whole number, at least 0", "policy.md"),
        ("max_rounds = true", "whole number", "policy.md"),
        ("least_partners = 1", "at least 2", "policy.md"),
        ("max_epsilon = nan", "is a number", "policy.md"),
        ("expires = 'soon'", "is a date, for instance", "policy.md"),
        ("data = 3", "data set for each task", "policy.md"),
        ("data = [['a']]", "data ", "policy.md"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_a_fix(line, message, fix):
    with pytest.raises(InputError) as refused:
        read(GOOD + line + "\n")
    assert message in refused.value.message
    assert fix in refused.value.fix


def test_a_policy_without_tasks_is_refused():
    with pytest.raises(InputError, match="lacks 'tasks'"):
        read("[policy]\n")


def test_a_date_is_over_at_its_end_and_a_time_at_once():
    assert read(GOOD + "expires = 1970-01-01\n").expires == 86_400
    assert read(GOOD + "expires = 1970-01-01T00:01:00Z\n").expires == 60


def test_data_sets_can_be_a_table():
    policy = read(GOOD + '[policy.data]\nheart-disease = "cardiology"\n')
    assert policy.data_set("heart-disease") == "cardiology"
    assert policy.data_set("other") == "records"


KNOWN = {"known_tasks": frozenset({"t"}), "known_sets": frozenset({"P4096"})}


def test_a_sane_policy_raises_no_doubt():
    assert doubts(Policy(tasks=("t",)), now=0, **KNOWN) == []


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"tasks": ("u",)}, "'u', which is not installed"),
        ({"tasks": ()}, "every run is refused"),
        ({"parameter_sets": ("P1",)}, "'P1', which this version does not know"),
        ({"colluders": 3}, "contradicts"),
        ({"colluders": 0}, "learns your update"),
        ({"allow_plaintext": True}, "without encryption"),
        ({"allow_ckks": True}, "can open your upload"),
        ({"release_ckks_model": True}, "no effect"),
        ({"expires": 5}, "has expired"),
        ({"expires": 10 + 86_400}, "expires in 1 days"),
        ({"max_rounds": 0}, "every round is refused"),
        ({"data": (("u", "x"),)}, "does not allow"),
    ],
)
def test_each_doubt_is_told(change, doubt):
    found = doubts(replace(Policy(tasks=("t",)), **change), now=10, **KNOWN)
    assert any(doubt in line for line in found), found


def test_the_reference_has_every_rule():
    text = (ROOT / "docs" / "reference" / "policy.md").read_text("utf-8")
    for one in fields(Policy):
        assert f"| `{one.name}` |" in text, one.name
