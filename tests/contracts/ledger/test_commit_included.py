"""``commitIncluded``: the included set U, written once, after V and inside it."""

import pytest

from ledger.records import EMPTY_WORD, RoundState
from tests.contracts.harness import refused, word
from tests.contracts.world import HOLDERS, World

CONTRADICTION = "root and count contradict the accepted set"


@pytest.fixture
def committed(world: World, run: bytes) -> bytes:
    """A run whose round 1 has four accepted contributions."""
    world.play(run, 1, "committed")
    return run


def test_the_included_set_is_recorded(world: World, committed: bytes) -> None:
    world.call("kim", "commitIncluded", committed, 1, word("U"), 3, word("why"))
    assert world.event().values == {
        "run": committed,
        "round": 1,
        "root": word("U"),
        "count": 3,
        "exclusions": word("why"),
    }
    included = world.view("round", committed, 1)
    assert included["state"] == RoundState.INCLUDED
    assert (included["included"], included["includedCount"], included["exclusions"]) == (
        word("U"),
        3,
        word("why"),
    )
    assert (included["root"], included["count"]) == (world.tree(committed, 1).root, 4)


def test_everybody_can_be_included(world: World, committed: bytes) -> None:
    world.include(committed, 1, HOLDERS)
    included = world.view("round", committed, 1)
    assert included["included"] == included["root"]


def test_a_full_count_needs_the_accepted_root(world: World, committed: bytes) -> None:
    with refused(CONTRADICTION):
        world.call("kim", "commitIncluded", committed, 1, word("U"), 4, EMPTY_WORD)


def test_the_accepted_root_needs_a_full_count(world: World, committed: bytes) -> None:
    with refused(CONTRADICTION):
        world.call("kim", "commitIncluded", committed, 1, world.tree(committed, 1).root, 3, EMPTY_WORD)


@pytest.mark.parametrize("until", ["included", "finalised", "aborted"])
def test_the_included_set_is_written_once(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    with refused("round is not COMMITTED"):
        world.include(run, 1, HOLDERS[:2])


def test_the_accepted_set_comes_first(world: World, run: bytes) -> None:
    world.open(run, 1)
    with refused("round is not COMMITTED"):
        world.include(run, 1)


def test_an_empty_root_is_refused(world: World, committed: bytes) -> None:
    with refused("root is empty"):
        world.call("kim", "commitIncluded", committed, 1, EMPTY_WORD, 3, EMPTY_WORD)


@pytest.mark.parametrize("count", [0, 1, 5, 2**32 - 1])
def test_the_count_lies_between_fewest_clients_and_the_accepted_count(
    world: World, committed: bytes, count: int
) -> None:
    with refused("count is out of range"):
        world.call("kim", "commitIncluded", committed, 1, word("U"), count, EMPTY_WORD)


@pytest.mark.parametrize("who", ["rosa", "ada", "anyone"])
def test_only_the_runs_coordinator_includes(world: World, committed: bytes, who: str) -> None:
    with refused("caller is not the run's coordinator"):
        world.call(who, "commitIncluded", committed, 1, word("U"), 3, EMPTY_WORD)


def test_nothing_is_included_while_paused(world: World, committed: bytes) -> None:
    world.call("odo", "pause")
    with refused("ledger is paused"):
        world.include(committed, 1)
