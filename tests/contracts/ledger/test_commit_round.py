"""``commitRound``: the accepted set V, written once."""

import pytest

from ledger.records import EMPTY_WORD, RoundState
from tests.contracts.harness import refused, word
from tests.contracts.world import World


def test_the_accepted_set_is_recorded(world: World, run: bytes) -> None:
    world.open(run, 1, cost=10)
    world.call("kim", "commitRound", run, 1, word("V"), 3)
    assert world.event().values == {"run": run, "round": 1, "root": word("V"), "count": 3, "spent": 10}
    committed = world.view("round", run, 1)
    assert (committed["state"], committed["root"], committed["count"]) == (RoundState.COMMITTED, word("V"), 3)
    assert world.view("runs", run)["spent"] == 10


@pytest.mark.parametrize("until", ["committed", "included", "finalised", "aborted"])
def test_the_accepted_set_is_written_once(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    with refused("round is not OPEN"):
        world.commit(run, 1)


def test_a_round_must_be_opened_first(world: World, run: bytes) -> None:
    with refused("round is not OPEN"):
        world.commit(run, 1)


def test_an_empty_root_is_refused(world: World, run: bytes) -> None:
    world.open(run, 1)
    with refused("root is empty"):
        world.call("kim", "commitRound", run, 1, EMPTY_WORD, 4)


@pytest.mark.parametrize("count", [0, 1, 5, 2**32 - 1])
def test_the_count_lies_between_fewest_clients_and_consents(world: World, run: bytes, count: int) -> None:
    world.open(run, 1)
    with refused("count is out of range"):
        world.call("kim", "commitRound", run, 1, word("V"), count)


def test_a_round_spends_its_cost_when_it_is_committed(world: World, run: bytes) -> None:
    world.open(run, 1, cost=7)
    assert world.view("runs", run)["spent"] == 0
    world.commit(run, 1)
    assert world.view("runs", run)["spent"] == 7
    world.include(run, 1)
    world.finalise(run, 1)
    world.open(run, 2, cost=0)
    world.commit(run, 2)
    assert world.event().values["spent"] == 0
    assert world.view("runs", run)["spent"] == 7


@pytest.mark.parametrize("who", ["rosa", "ada", "anyone"])
def test_only_the_runs_coordinator_commits(world: World, run: bytes, who: str) -> None:
    world.open(run, 1)
    with refused("caller is not the run's coordinator"):
        world.call(who, "commitRound", run, 1, word("V"), 3)


def test_nothing_is_committed_while_paused(world: World, run: bytes) -> None:
    world.open(run, 1)
    world.call("odo", "pause")
    with refused("ledger is paused"):
        world.commit(run, 1)
