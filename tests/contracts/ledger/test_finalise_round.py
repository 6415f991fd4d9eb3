"""``finaliseRound``: the round's model and its rewards."""

from typing import Any

import pytest

from ledger.records import EMPTY_WORD, RoundState
from ledger.typed_data import model_id
from tests.contracts.harness import refused, word
from tests.contracts.world import ESCROW, HOLDERS, World, rewards_of

SUMS = {name: 100 for name in HOLDERS}


@pytest.fixture
def included(world: World, run: bytes) -> bytes:
    """A run whose round 1 has three included contributions."""
    world.play(run, 1, "included")
    return run


def finalise(world: World, run: bytes, sender: str = "kim", **changes: Any) -> None:
    values: dict[str, Any] = {
        "n": 1,
        "artifact": word("artifact"),
        "aggregateKey": word("key"),
        "metrics": word("metrics"),
        "rewardsRoot": EMPTY_WORD,
        "reward": 0,
    }
    world.call(sender, "finaliseRound", run, *{**values, **changes}.values())


def test_the_model_is_recorded_with_its_parent(world: World, included: bytes) -> None:
    finalise(world, included)
    model = model_id(included, 1, word("artifact"))
    finalised = world.view("round", included, 1)
    assert (finalised["state"], finalised["model"]) == (RoundState.FINALISED, model)
    assert world.view("models", model) == {
        "run": included,
        "round": 1,
        "parent": model_id(included, 0, word("root")),
        "artifact": word("artifact"),
        "metrics": word("metrics"),
        "aggregateKey": word("key"),
    }
    assert world.view("runs", included)["finalised"] == 1


def test_the_rewards_move_from_escrow_to_allocated(world: World, included: bytes) -> None:
    world.finalise(included, 1, rewards=SUMS, reward=400)
    record = world.view("runs", included)
    assert (record["escrow"], record["allocated"], record["claimed"]) == (ESCROW - 400, 400, 0)
    assert world.view("round", included, 1)["rewards"] == rewards_of(included, SUMS).root


def test_a_finalised_round_is_logged(world: World, included: bytes) -> None:
    world.finalise(included, 1, rewards=SUMS, reward=400)
    assert world.event().values == {
        "run": included,
        "round": 1,
        "artifact": word("artifact 1"),
        "model": model_id(included, 1, word("artifact 1")),
        "parent": model_id(included, 0, word("root")),
        "aggregateKey": word("key"),
        "metrics": word("metrics"),
        "rewardsRoot": rewards_of(included, SUMS).root,
        "reward": 400,
    }


def test_the_whole_escrow_can_be_promised_and_no_more(world: World, included: bytes) -> None:
    with refused("reward exceeds the escrow"):
        world.finalise(included, 1, rewards=SUMS, reward=ESCROW + 1)
    world.finalise(included, 1, rewards=SUMS, reward=ESCROW)
    assert world.view("runs", included)["escrow"] == 0


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"artifact": EMPTY_WORD}, "artifact is empty"),
        ({"aggregateKey": EMPTY_WORD}, "aggregate key is empty"),
        ({"reward": 1}, "reward and rewards root do not match"),
        ({"rewardsRoot": word("root")}, "reward and rewards root do not match"),
    ],
)
def test_malformed_results_are_refused(
    world: World, included: bytes, changes: dict[str, Any], rule: str
) -> None:
    with refused(rule):
        finalise(world, included, **changes)


@pytest.mark.parametrize("until", ["open", "committed", "finalised", "aborted"])
def test_only_an_included_round_is_finalised(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    with refused("round is not INCLUDED"):
        finalise(world, run)


def test_two_rounds_can_make_the_same_file(world: World, included: bytes) -> None:
    finalise(world, included)
    world.play(included, 2, "included")
    finalise(world, included, n=2)
    same = [world.view("models", model_id(included, n, word("artifact")))["artifact"] for n in (1, 2)]
    assert same == [word("artifact")] * 2


@pytest.mark.parametrize("who", ["rosa", "ada", "anyone"])
def test_only_the_runs_coordinator_finalises(world: World, included: bytes, who: str) -> None:
    with refused("caller is not the run's coordinator"):
        finalise(world, included, who)


def test_nothing_is_finalised_while_paused(world: World, included: bytes) -> None:
    world.call("odo", "pause")
    with refused("ledger is paused"):
        finalise(world, included)
