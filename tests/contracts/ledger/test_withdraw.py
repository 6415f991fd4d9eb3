"""``withdraw``: consent can be taken back, always."""

import pytest

from ledger.records import EMPTY_WORD, Act
from tests.contracts.harness import account, refused
from tests.contracts.world import World


def test_withdrawal_ends_the_consent(world: World, run: bytes) -> None:
    world.call("ada", "withdraw", run)
    assert world.ledger.events()[0].values == {
        "run": run,
        "holder": account("ada"),
        "given": False,
        "accepted": 3,
    }
    assert world.view("consent", run, account("ada")) == EMPTY_WORD
    assert world.view("runs", run)["accepted"] == 3


def test_only_a_consent_that_was_given_can_be_withdrawn(world: World, run: bytes) -> None:
    world.call("ada", "withdraw", run)
    for who in ("ada", "anyone"):
        with refused("consent was not given"):
            world.call(who, "withdraw", run)


@pytest.mark.parametrize("until", ["open", "committed", "included", "finalised", "aborted"])
def test_consent_can_be_withdrawn_in_every_phase(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    world.call("ada", "withdraw", run)


def test_a_removed_member_can_withdraw(world: World, run: bytes) -> None:
    world.vote(Act.REMOVE, subject=account("ada"))
    world.call("ada", "withdraw", run)


def test_consent_to_a_stopped_run_can_be_withdrawn(world: World, run: bytes) -> None:
    world.vote(Act.STOP_RUN, info=run)
    world.call("ada", "withdraw", run)
    assert world.view("runs", run)["accepted"] == 3
