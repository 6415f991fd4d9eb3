"""``registerRoot``: a model without a parent."""

import pytest

from ledger.records import EMPTY_WORD
from ledger.typed_data import model_id
from tests.contracts.harness import refused, word
from tests.contracts.world import World


def test_a_root_is_recorded_under_round_zero(world: World) -> None:
    run = world.create_run()
    world.call("kim", "registerRoot", run, word("file"), word("metrics"))
    model = model_id(run, 0, word("file"))
    assert world.event().values == {
        "run": run,
        "artifact": word("file"),
        "model": model,
        "metrics": word("metrics"),
    }
    assert world.view("models", model) == {
        "run": run,
        "round": 0,
        "parent": EMPTY_WORD,
        "artifact": word("file"),
        "metrics": word("metrics"),
        "aggregateKey": EMPTY_WORD,
    }


def test_a_run_can_have_several_roots(world: World, run: bytes) -> None:
    world.call("kim", "registerRoot", run, word("another"), EMPTY_WORD)
    world.open(run, 1, model_id(run, 0, word("another")))


def test_the_same_root_is_recorded_once(world: World, run: bytes) -> None:
    with refused("model is on the ledger already"):
        world.call("kim", "registerRoot", run, word("root"), word("other metrics"))


def test_an_empty_artifact_is_refused(world: World, run: bytes) -> None:
    with refused("artifact is empty"):
        world.call("kim", "registerRoot", run, EMPTY_WORD, EMPTY_WORD)


@pytest.mark.parametrize("who", ["rosa", "ada", "anyone"])
def test_only_the_runs_coordinator_registers(world: World, run: bytes, who: str) -> None:
    with refused("caller is not the run's coordinator"):
        world.call(who, "registerRoot", run, word("file"), EMPTY_WORD)


def test_no_root_is_registered_while_paused(world: World, run: bytes) -> None:
    world.call("odo", "pause")
    with refused("ledger is paused"):
        world.call("kim", "registerRoot", run, word("file"), EMPTY_WORD)


def test_a_closing_run_takes_no_root(world: World, run: bytes) -> None:
    world.call("rosa", "closeRun", run)
    with refused("run is not OPEN"):
        world.call("kim", "registerRoot", run, word("file"), EMPTY_WORD)
