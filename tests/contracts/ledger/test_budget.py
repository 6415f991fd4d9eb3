"""``grantBudget``, ``accept``, ``settle``: the privacy budget of a data set, across runs and researchers.

In every test a run's budget is 10 and what a holder grants is 25: two runs fit, a third one does not.
"""

from __future__ import annotations

import pytest

from ledger.records import EMPTY_WORD, Act
from tests.contracts.harness import account, refused, word
from tests.contracts.world import HOLDERS, World, dataset_of

BUDGET, GRANTED = 10, 25
ALL = {"granted": GRANTED, "reserved": 0, "spent": 0}


@pytest.fixture
def world(world: World) -> World:
    for name in HOLDERS:
        world.set_keys(name)
        world.grant(name, GRANTED)
    return world


@pytest.fixture
def run(world: World) -> bytes:
    return world.ready_run(budget=BUDGET)


def budget(world: World, name: str = "ada") -> dict[str, int]:
    found: dict[str, int] = world.view("budgetOf", account(name), dataset_of(name))
    return found


def spend(world: World, run: bytes, n: int, cost: int) -> None:
    world.open(run, n, cost=cost)
    world.call("kim", "commitRound", run, n, word("V"), 2)
    world.call("kim", "abortRound", run, n)


def test_a_holder_grants_a_data_set_its_budget(world: World) -> None:
    world.grant("ada", 7)
    values = {"holder": account("ada"), "dataset": dataset_of("ada"), "granted": 7}
    assert world.event().values == values
    assert budget(world) == {"granted": 7, "reserved": 0, "spent": 0}
    assert budget(world, "ben") == ALL


@pytest.mark.parametrize("who", ["rosa", "odo", "kim", "anyone"])
def test_only_holders_grant(world: World, who: str) -> None:
    with refused("account lacks the role"):
        world.call(who, "grantBudget", dataset_of("ada"), 1)


def test_a_budget_is_for_a_data_set(world: World) -> None:
    with refused("data set is empty"):
        world.call("ada", "grantBudget", EMPTY_WORD, 1)


def test_consent_sets_aside_what_the_run_may_spend(world: World) -> None:
    run = world.create_run(budget=BUDGET)
    world.accept("ada", run)
    values = {"run": run, "holder": account("ada"), "dataset": dataset_of("ada"), "amount": BUDGET}
    assert world.ledger.events()[1].values == values
    assert budget(world) == {**ALL, "reserved": BUDGET}
    assert world.view("pledgeOf", run, account("ada")) == {"dataset": dataset_of("ada"), "since": 0}


def test_consent_beyond_the_budget_is_refused_whoever_the_researcher_is(world: World, run: bytes) -> None:
    world.ready_run(terms=word("second"), budget=BUDGET)
    third = world.create_run(terms=word("third"), budget=BUDGET)
    with refused("data set has less budget left"):
        world.accept("ada", third, word("third"))
    world.grant("ada", GRANTED + 4)
    with refused("data set has less budget left"):
        world.accept("ada", third, word("third"))
    world.grant("ada", GRANTED + 5)
    world.accept("ada", third, word("third"))
    assert budget(world) == {"granted": GRANTED + 5, "reserved": 3 * BUDGET, "spent": 0}


def test_a_data_set_without_a_budget_and_no_data_set_at_all_are_refused(world: World) -> None:
    run = world.create_run(budget=1)
    with refused("data set has less budget left"):
        world.accept("ada", run, dataset=word("another"))
    with refused("data set is empty"):
        world.accept("ada", run, dataset=EMPTY_WORD)


def test_a_budget_is_its_holders_own(world: World) -> None:
    run = world.create_run(budget=1)
    with refused("data set has less budget left"):
        world.accept("ada", run, dataset=dataset_of("ben"))


def test_a_run_without_a_budget_needs_no_data_set_but_can_have_one(world: World) -> None:
    run = world.create_run(budget=0)
    world.accept("ada", run, dataset=EMPTY_WORD)
    assert [event.name for event in world.ledger.events()] == ["Consent"]
    world.accept("ben", run)
    assert world.ledger.events()[1].values["amount"] == 0
    assert world.view("pledgeOf", run, account("ben"))["dataset"] == dataset_of("ben")
    world.call("ada", "withdraw", run)
    assert [event.name for event in world.ledger.events()] == ["Consent"]
    assert budget(world) == budget(world, "ben") == ALL


def test_who_comes_later_sets_aside_what_is_left(world: World, run: bytes) -> None:
    world.call("ada", "withdraw", run)
    spend(world, run, 1, 4)
    world.accept("ada", run)
    assert budget(world) == {**ALL, "reserved": BUDGET - 4}
    assert world.view("pledgeOf", run, account("ada"))["since"] == 4
    spend(world, run, 2, 5)
    world.call("ada", "withdraw", run)
    assert budget(world) == {**ALL, "spent": 5}
    world.call("ben", "withdraw", run)
    assert budget(world, "ben") == {**ALL, "spent": 9}


def test_withdrawal_frees_what_was_not_spent(world: World, run: bytes) -> None:
    spend(world, run, 1, 4)
    world.call("ada", "withdraw", run)
    values = {"run": run, "holder": account("ada"), "dataset": dataset_of("ada"), "spent": 4}
    assert world.ledger.events()[1].values == values
    assert budget(world) == {**ALL, "spent": 4}
    assert world.view("pledgeOf", run, account("ada")) == {"dataset": EMPTY_WORD, "since": 0}
    spend(world, run, 2, 5)
    assert budget(world) == {**ALL, "spent": 4}
    assert budget(world, "ben") == {**ALL, "reserved": BUDGET}


def test_a_removed_holders_budget_is_settled_when_its_consent_is_struck(world: World, run: bytes) -> None:
    spend(world, run, 1, 4)
    world.vote(Act.REMOVE, subject=account("dan"))
    world.call("anyone", "dropConsent", run, account("dan"))
    assert budget(world, "dan") == {**ALL, "spent": 4}


@pytest.mark.parametrize(
    ("until", "spent"), [("open", 4), ("committed", 4), ("included", 4), ("finalised", 4), ("aborted", 0)]
)
def test_who_withdraws_from_a_round_under_way_pays_for_it(
    world: World, run: bytes, until: str, spent: int
) -> None:
    world.open(run, 1, cost=4)
    if until in ("committed", "included", "finalised"):
        world.commit(run, 1)
    if until in ("included", "finalised"):
        world.include(run, 1)
    if until == "finalised":
        world.finalise(run, 1)
    if until == "aborted":
        world.call("kim", "abortRound", run, 1)
    world.call("ada", "withdraw", run)
    assert budget(world) == {**ALL, "spent": spent}


def test_who_consents_while_a_round_is_open_pays_for_it_too(world: World, run: bytes) -> None:
    world.call("ada", "withdraw", run)
    world.open(run, 1, cost=4)
    world.accept("ada", run)
    assert budget(world) == {**ALL, "reserved": BUDGET}
    world.commit(run, 1)
    world.call("ada", "withdraw", run)
    assert budget(world) == {**ALL, "spent": 4}


def test_a_budget_cannot_be_cut_below_what_is_spent_or_set_aside(world: World, run: bytes) -> None:
    spend(world, run, 1, 4)
    with refused("data set has less budget left"):
        world.grant("ada", BUDGET - 1)
    world.grant("ada", BUDGET)
    world.call("ada", "withdraw", run)
    with refused("data set has less budget left"):
        world.grant("ada", 3)
    world.grant("ada", 4)
    with refused("data set has less budget left"):
        world.accept("ada", run)


def test_a_run_that_opens_no_more_rounds_is_settled_by_anyone_and_consent_stays(
    world: World, run: bytes
) -> None:
    spend(world, run, 1, 4)
    with refused("run can open rounds"):
        world.call("ada", "settle", run, account("ada"))
    world.call("kim", "closeRun", run)
    world.call("anyone", "settle", run, account("ada"))
    values = {"run": run, "holder": account("ada"), "dataset": dataset_of("ada"), "spent": 4}
    assert world.event().values == values
    assert budget(world) == {**ALL, "spent": 4}
    assert world.view("consent", run, account("ada")) == word("terms")
    assert world.view("runs", run)["accepted"] == 4


def test_a_pledge_is_settled_once(world: World, run: bytes) -> None:
    spend(world, run, 1, 4)
    world.call("kim", "closeRun", run)
    world.call("anyone", "settle", run, account("ada"))
    with refused("nothing to settle"):
        world.call("anyone", "settle", run, account("ada"))
    world.call("ada", "withdraw", run)
    assert budget(world) == {**ALL, "spent": 4}


def test_there_is_nothing_to_settle_in_a_run_that_is_not_there(world: World) -> None:
    with refused("run can open rounds"):
        world.call("ada", "settle", word("no run"), account("ada"))


def test_settling_a_closing_run_counts_the_round_that_is_open(world: World, run: bytes) -> None:
    world.open(run, 1, cost=4)
    world.call("kim", "closeRun", run)
    world.call("anyone", "settle", run, account("ada"))
    world.commit(run, 1)
    world.call("anyone", "settle", run, account("ben"))
    assert budget(world) == budget(world, "ben") == {**ALL, "spent": 4}


def test_an_open_round_of_a_stopped_run_will_never_spend(world: World, run: bytes) -> None:
    world.open(run, 1, cost=4)
    world.vote(Act.STOP_RUN, info=run)
    world.call("anyone", "settle", run, account("ada"))
    assert budget(world) == ALL


def test_budgets_work_while_the_ledger_is_paused(world: World, run: bytes) -> None:
    world.call("kim", "closeRun", run)
    world.call("odo", "pause")
    world.grant("ada", GRANTED + 1)
    world.call("ada", "settle", run, account("ada"))
    world.call("ben", "withdraw", run)
    assert budget(world, "ben") == ALL


def test_a_round_costs_the_ledger_the_same_for_any_number_of_data_sets(world: World, run: bytes) -> None:
    """One number is written per round; what each data set has spent follows from it."""
    spend(world, run, 1, 3)
    spend(world, run, 2, 5)
    for name in HOLDERS:
        world.call(name, "withdraw", run)
        assert budget(world, name) == {**ALL, "spent": 8}
