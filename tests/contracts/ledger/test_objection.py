"""``objection``: a dispute on record, without effect."""

import pytest

from ledger.records import Act
from tests.contracts.harness import account, refused, word
from tests.contracts.world import World


@pytest.mark.parametrize("who", ["ada", "odo"])
@pytest.mark.parametrize("n", [0, 1])
def test_a_holder_or_auditor_objects_to_a_round_or_the_run(
    world: World, run: bytes, who: str, n: int
) -> None:
    world.play(run, 1)
    before = world.view("round", run, 1)
    world.call(who, "objection", run, n, word("reason"))
    assert world.event().values == {
        "run": run,
        "round": n,
        "member": account(who),
        "reason": word("reason"),
    }
    assert world.view("round", run, 1) == before


@pytest.mark.parametrize("who", ["rosa", "kim", "anyone"])
def test_nobody_else_objects(world: World, run: bytes, who: str) -> None:
    with refused("account lacks the role"):
        world.call(who, "objection", run, 0, word("reason"))


def test_a_removed_holder_cannot_object(world: World, run: bytes) -> None:
    world.vote(Act.REMOVE, subject=account("dan"))
    with refused("account lacks the role"):
        world.call("dan", "objection", run, 0, word("reason"))


def test_there_must_be_a_run_and_a_round(world: World, run: bytes) -> None:
    for target, n in ((run, 1), (word("no run"), 0)):
        with refused("round does not exist"):
            world.call("ada", "objection", target, n, word("reason"))


def test_objections_are_heard_while_paused(world: World, run: bytes) -> None:
    world.call("odo", "pause")
    world.call("ada", "objection", run, 0, word("reason"))
