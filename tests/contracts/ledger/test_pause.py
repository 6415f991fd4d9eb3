"""``pause``: one auditor or coordinator stops new work."""

import pytest

from ledger.records import Act
from tests.contracts.harness import account, refused
from tests.contracts.world import World


@pytest.mark.parametrize("who", ["odo", "kim"])
def test_an_auditor_or_a_coordinator_pauses_alone(world: World, who: str) -> None:
    world.call(who, "pause")
    assert world.view("paused") is True
    assert world.event().values == {"by": account(who), "paused": True}


@pytest.mark.parametrize("who", ["ada", "rosa", "anyone"])
def test_nobody_else_pauses(world: World, who: str) -> None:
    with refused("account lacks the role"):
        world.call(who, "pause")


def test_a_paused_ledger_is_not_paused_again(world: World) -> None:
    world.call("odo", "pause")
    with refused("ledger is paused"):
        world.call("kim", "pause")


def test_a_removed_auditor_cannot_pause(world: World) -> None:
    world.vote(Act.REMOVE, subject=account("odo"))
    with refused("account lacks the role"):
        world.call("odo", "pause")
