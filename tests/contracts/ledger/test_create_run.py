"""``createRun``: a run, its terms and its escrow."""

from typing import Any

import pytest

from ledger.records import EMPTY_ADDRESS, EMPTY_WORD, Act, RunState
from ledger.typed_data import run_id
from tests.contracts.harness import account, refused, word
from tests.contracts.odd_tokens import Mood, become, odd_token, quiet_token
from tests.contracts.world import DELAY, ESCROW, World

YEAR = 366 * 86_400


def create(world: World, sender: str = "rosa", **changes: Any) -> None:
    terms = changes.get("terms", word("terms"))
    values: dict[str, Any] = {
        "run": run_id(account(sender), terms),
        "terms": terms,
        "token": world.token.address,
        "escrow": 0,
        "minClients": 2,
        "maxRounds": 100,
        "budget": 1_000,
        "coordinator": account("kim"),
        "closingDelay": DELAY,
    }
    world.call(sender, "createRun", *{**values, **changes}.values())


def test_a_run_records_what_it_was_created_with(world: World) -> None:
    run = world.create_run()
    assert world.view("runs", run) == {
        "sponsor": account("rosa"),
        "coordinator": account("kim"),
        "token": world.token.address,
        "terms": word("terms"),
        "state": RunState.OPEN,
        "minClients": 2,
        "maxRounds": 100,
        "opened": 0,
        "finalised": 0,
        "accepted": 0,
        "closingDelay": DELAY,
        "closesAt": 0,
        "budget": 1_000,
        "spent": 0,
        "escrow": ESCROW,
        "allocated": 0,
        "claimed": 0,
    }
    assert world.balance(world.ledger.address) == ESCROW


def test_a_new_run_is_logged(world: World) -> None:
    run = world.create_run()
    assert world.event().values == {
        "run": run,
        "sponsor": account("rosa"),
        "coordinator": account("kim"),
        "terms": word("terms"),
        "token": world.token.address,
        "escrow": ESCROW,
    }


def test_a_coordinator_can_sponsor_its_own_run(world: World) -> None:
    create(world, "kim")


def test_a_run_without_rewards_needs_no_token(world: World) -> None:
    create(world, token=EMPTY_ADDRESS)


def test_the_largest_numbers_fit(world: World) -> None:
    largest = 2**32 - 1
    create(world, minClients=largest, maxRounds=largest, budget=2**128 - 1, closingDelay=YEAR)
    run = world.view("runs", run_id(account("rosa"), word("terms")))
    assert (run["minClients"], run["maxRounds"], run["accepted"]) == (largest, largest, 0)


@pytest.mark.parametrize("who", ["ada", "odo", "anyone"])
def test_only_researchers_and_coordinators_create_runs(world: World, who: str) -> None:
    with refused("account lacks the role"):
        create(world, who)


def test_the_coordinator_must_have_the_role(world: World) -> None:
    with refused("account lacks the role"):
        create(world, coordinator=account("rosa"))


def test_no_run_is_created_while_paused(world: World) -> None:
    world.call("odo", "pause")
    with refused("ledger is paused"):
        create(world)


def test_the_same_terms_make_one_run(world: World) -> None:
    create(world)
    with refused("run exists already"):
        create(world)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"run": word("mine")}, "run id does not bind sponsor and terms"),
        ({"run": run_id(account("kim"), word("terms"))}, "run id does not bind sponsor and terms"),
        ({"terms": EMPTY_WORD}, "terms are empty"),
        ({"minClients": 0}, "fewest clients or most rounds is zero"),
        ({"maxRounds": 0}, "fewest clients or most rounds is zero"),
        ({"closingDelay": YEAR + 1}, "closing delay is too long"),
        ({"budget": 2**128}, "budget or escrow has more than 128 bits"),
        ({"escrow": 2**128}, "budget or escrow has more than 128 bits"),
        ({"budget": 2**256 - 1}, "budget or escrow has more than 128 bits"),
    ],
)
def test_malformed_runs_are_refused(world: World, changes: dict[str, Any], rule: str) -> None:
    with refused(rule):
        create(world, **changes)


def test_an_escrow_needs_an_allowance(world: World) -> None:
    world.token.call("rosa", "mint", account("rosa"), ESCROW)
    with refused("amount exceeds the allowance", "reward_token"):
        create(world, escrow=ESCROW)


def test_a_token_that_returns_nothing_is_accepted(world: World) -> None:
    token = quiet_token(world)
    run = world.create_run(token=token)
    assert world.view("runs", run)["escrow"] == world.balance(world.ledger.address, token) == ESCROW


def test_a_token_that_takes_a_fee_is_refused(world: World) -> None:
    token = odd_token(world)
    become(token, Mood.TAKES_FEE)
    with refused("token did not deliver the amount"):
        world.create_run(token=token)


def test_a_token_that_answers_no_is_refused(world: World) -> None:
    token = odd_token(world)
    become(token, Mood.ANSWERS_NO)
    with refused("token refused the transfer"):
        world.create_run(token=token)


def test_a_removed_researcher_creates_no_run(world: World) -> None:
    world.vote(Act.REMOVE, subject=account("rosa"))
    with refused("account lacks the role"):
        create(world)
