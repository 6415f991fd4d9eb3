"""``openRound``: rounds follow each other without gaps, from models that are on the ledger."""

import pytest

from ledger.records import EMPTY_WORD, Act, RoundState
from ledger.typed_data import model_id
from tests.contracts.harness import account, refused, word
from tests.contracts.world import DELAY, World


def test_an_open_round_records_parent_and_header(world: World, run: bytes) -> None:
    world.open(run, 1, cost=3)
    parent, header = model_id(run, 0, word("root")), word("header 1")
    expected = {"parent": parent, "header": header, "cost": 3}
    assert world.event().values == {"run": run, "round": 1, **expected}
    opened = world.view("round", run, 1)
    assert {name: opened[name] for name in expected} == expected
    assert opened["state"] == RoundState.OPEN
    assert world.view("runs", run)["opened"] == 1


@pytest.mark.parametrize("until", ["finalised", "aborted"])
def test_the_next_round_opens_when_the_latest_is_over(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    world.open(run, 2)


@pytest.mark.parametrize("until", ["open", "committed", "included"])
def test_the_next_round_waits_for_the_latest(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    with refused("latest round is not over"):
        world.open(run, 2)


@pytest.mark.parametrize("n", [0, 1, 3, 2**32 - 1])
def test_rounds_are_numbered_without_gaps(world: World, run: bytes, n: int) -> None:
    world.play(run, 1)
    with refused("round is not the next one"):
        world.open(run, n)


def test_a_round_can_train_from_a_model_of_another_run(world: World, run: bytes) -> None:
    other = world.ready_run(terms=word("other terms"))
    world.open(other, 1, model_id(run, 0, word("root")))


def test_a_parent_that_is_not_on_the_ledger_is_refused(world: World, run: bytes) -> None:
    with refused("parent is not on the ledger"):
        world.open(run, 1, word("root"))


def test_an_empty_header_is_refused(world: World, run: bytes) -> None:
    with refused("header is empty"):
        world.call("kim", "openRound", run, 1, model_id(run, 0, word("root")), EMPTY_WORD, 0)


def test_too_few_consents_open_no_round(world: World) -> None:
    run = world.ready_run(min_clients=4)
    world.call("dan", "withdraw", run)
    with refused("too few holders consent"):
        world.open(run, 1)


def test_a_run_has_so_many_finalised_rounds(world: World) -> None:
    run = world.ready_run(max_rounds=1)
    world.play(run, 1, "aborted")
    world.play(run, 2)
    with refused("run has had its rounds"):
        world.open(run, 3)


@pytest.mark.parametrize("who", ["rosa", "ada", "anyone"])
def test_only_the_runs_coordinator_opens(world: World, run: bytes, who: str) -> None:
    with refused("caller is not the run's coordinator"):
        world.call(who, "openRound", run, 1, model_id(run, 0, word("root")), word("header"), 0)


def test_a_coordinator_without_the_role_opens_nothing(world: World, run: bytes) -> None:
    world.vote(Act.REMOVE, subject=account("kim"))
    with refused("account lacks the role"):
        world.open(run, 1)


def test_no_round_opens_while_paused(world: World, run: bytes) -> None:
    world.call("odo", "pause")
    with refused("ledger is paused"):
        world.open(run, 1)


def test_no_round_opens_in_a_closing_run(world: World, run: bytes) -> None:
    world.call("kim", "closeRun", run)
    with refused("run is not OPEN"):
        world.open(run, 1)
    world.engine.advance(DELAY)
    world.call("kim", "closeRun", run)
    with refused("run is not OPEN or CLOSING"):
        world.open(run, 1)


def test_no_round_opens_in_an_unknown_run(world: World) -> None:
    with refused("run is not OPEN or CLOSING"):
        world.call("kim", "openRound", word("no run"), 1, word("root"), word("header"), 0)


def test_the_privacy_budget_can_be_spent_to_the_last_unit_and_no_further(world: World) -> None:
    run = world.ready_run(budget=10)
    for cost in (11, 2**128, 2**256 - 1):
        with refused("privacy budget is exceeded"):
            world.open(run, 1, cost=cost)
    world.open(run, 1, cost=10)
    world.commit(run, 1)
    world.include(run, 1)
    world.finalise(run, 1)
    for cost in (1, 2**128 - 10, 2**256 - 1):
        with refused("privacy budget is exceeded"):
            world.open(run, 2, cost=cost)
    world.open(run, 2, cost=0)
    world.commit(run, 2)
    assert world.view("runs", run)["spent"] == 10


def test_what_an_aborted_round_would_have_cost_can_be_spent_again(world: World) -> None:
    run = world.ready_run(budget=10)
    world.open(run, 1, cost=10)
    world.call("kim", "abortRound", run, 1)
    world.open(run, 2, cost=10)
    world.commit(run, 2)
    assert world.view("runs", run)["spent"] == 10
