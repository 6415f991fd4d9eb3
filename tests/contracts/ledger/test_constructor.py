"""``__init__``: the founders of a consortium."""

import pytest

from ledger.artifacts import load
from ledger.records import EMPTY_ADDRESS, Role
from tests.contracts.engines import quick_engine
from tests.contracts.harness import Contract, account, refused
from tests.contracts.world import FOUNDERS, World


def found(founders: list[bytes], roles: list[int], threshold: int) -> Contract:
    return Contract.deploy(quick_engine(), "kim", load("TrainingLedger"), founders, roles, threshold)


def test_founders_are_members_with_their_roles(world: World) -> None:
    for name, roles in FOUNDERS.items():
        entry = world.view("member", account(name))
        assert (entry["roles"], entry["epoch"]) == (roles, 0)
        assert entry["since"] > 0
    assert world.view("memberCount") == len(FOUNDERS)
    assert world.view("threshold") == 2
    assert world.view("era") == 0
    assert world.view("paused") is False


def test_every_founder_and_the_threshold_are_logged() -> None:
    ledger = found([account("ada"), account("ben")], [1, 2], 2)
    assert [(event.name, event.values.get("member")) for event in ledger.events()] == [
        ("MemberAdmitted", account("ada")),
        ("MemberAdmitted", account("ben")),
        ("ThresholdSet", None),
    ]


def test_the_domain_is_that_of_the_typed_data(world: World) -> None:
    assert world.view("DOMAIN") == world.domain.separator()


def test_an_account_can_have_several_roles() -> None:
    both = int(Role.HOLDER | Role.AUDITOR)
    assert found([account("ada")], [both], 1).view("member", account("ada"))["roles"] == both


@pytest.mark.parametrize(
    ("founders", "roles", "threshold", "rule"),
    [
        ([], [], 1, "founders and roles do not match"),
        (["ada"], [1, 1], 1, "founders and roles do not match"),
        (["ada"], [1], 0, "threshold is out of range"),
        (["ada"], [1], 2, "threshold is out of range"),
        (["ada"], [0], 1, "roles are empty"),
        (["ada", "ada"], [1, 1], 1, "subject is a member already"),
    ],
)
def test_malformed_founders_are_refused(
    founders: list[str], roles: list[int], threshold: int, rule: str
) -> None:
    with refused(rule):
        found([account(name) for name in founders], roles, threshold)


def test_the_zero_address_cannot_found() -> None:
    with refused("subject is the zero address"):
        found([EMPTY_ADDRESS], [1], 1)
