"""``abortRound``: a round is given up."""

import pytest

from ledger.records import RoundState
from tests.contracts.harness import refused
from tests.contracts.world import World


@pytest.mark.parametrize("until", ["open", "committed", "included"])
def test_a_round_under_way_is_aborted_and_the_next_one_can_open(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    world.call("kim", "abortRound", run, 1)
    assert world.event().values == {"run": run, "round": 1}
    assert world.view("round", run, 1)["state"] == RoundState.ABORTED
    world.open(run, 2)


def test_an_aborted_round_keeps_its_budget_spent(world: World, run: bytes) -> None:
    world.open(run, 1, cost=7)
    world.commit(run, 1)
    world.call("kim", "abortRound", run, 1)
    assert world.view("runs", run)["spent"] == 7


@pytest.mark.parametrize("until", ["finalised", "aborted"])
def test_a_round_that_is_over_cannot_be_aborted(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    with refused("round is not under way"):
        world.call("kim", "abortRound", run, 1)


def test_a_round_that_was_never_opened_cannot_be_aborted(world: World, run: bytes) -> None:
    with refused("round is not under way"):
        world.call("kim", "abortRound", run, 1)


def test_a_closing_run_can_give_up_its_round(world: World, run: bytes) -> None:
    world.open(run, 1)
    world.call("rosa", "closeRun", run)
    world.call("kim", "abortRound", run, 1)


@pytest.mark.parametrize("who", ["rosa", "ada", "anyone"])
def test_only_the_runs_coordinator_aborts(world: World, run: bytes, who: str) -> None:
    world.open(run, 1)
    with refused("caller is not the run's coordinator"):
        world.call(who, "abortRound", run, 1)


def test_nothing_is_aborted_while_paused(world: World, run: bytes) -> None:
    world.open(run, 1)
    world.call("odo", "pause")
    with refused("ledger is paused"):
        world.call("kim", "abortRound", run, 1)
