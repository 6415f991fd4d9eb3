"""``closeRun``: a run ends in two calls with a delay between them."""

import pytest

from ledger.records import Act, RunState
from tests.contracts.harness import account, refused, word
from tests.contracts.odd_tokens import Mood, become, odd_token
from tests.contracts.world import DELAY, ESCROW, HOLDERS, World


@pytest.mark.parametrize("who", ["rosa", "kim"])
def test_sponsor_and_coordinator_close_and_the_sponsor_is_refunded(
    world: World, run: bytes, who: str
) -> None:
    world.call(who, "closeRun", run)
    assert world.event().values == {"run": run, "closesAt": world.engine.timestamp + DELAY}
    assert world.view("runs", run)["state"] == RunState.CLOSING
    world.engine.advance(DELAY)
    world.call(who, "closeRun", run)
    assert [event.name for event in world.ledger.events()] == ["RunClosed", "Refunded"]
    assert world.view("runs", run)["state"] == RunState.CLOSED
    assert world.view("runs", run)["escrow"] == 0
    assert world.balance(account("rosa")) == ESCROW


def test_the_delay_must_be_over(world: World, run: bytes) -> None:
    world.call("rosa", "closeRun", run)
    world.engine.advance(DELAY - 1)
    with refused("closing delay is not over"):
        world.call("rosa", "closeRun", run)


def test_nobody_else_closes(world: World, run: bytes) -> None:
    for who in ("ada", "odo", "anyone"):
        with refused("caller is neither coordinator nor sponsor"):
            world.call(who, "closeRun", run)


def test_an_unknown_run_cannot_be_closed(world: World) -> None:
    with refused("caller is neither coordinator nor sponsor"):
        world.call("rosa", "closeRun", word("no run"))


def test_a_closed_run_stays_closed(world: World, run: bytes) -> None:
    world.call("rosa", "closeRun", run)
    world.engine.advance(DELAY)
    world.call("rosa", "closeRun", run)
    with refused("run is closed"):
        world.call("rosa", "closeRun", run)


@pytest.mark.parametrize("until", ["committed", "included"])
def test_neither_call_works_while_a_round_is_committed(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    with refused("a round is committed"):
        world.call("rosa", "closeRun", run)


def test_a_round_that_was_open_is_finished_and_paid_while_closing(world: World, run: bytes) -> None:
    world.open(run, 1)
    world.call("rosa", "closeRun", run)
    world.commit(run, 1)
    world.engine.advance(DELAY)
    with refused("a round is committed"):
        world.call("rosa", "closeRun", run)
    world.include(run, 1)
    world.finalise(run, 1, rewards=dict.fromkeys(HOLDERS, 100), reward=400)
    world.call("rosa", "closeRun", run)
    assert world.balance(account("rosa")) == ESCROW - 400
    assert world.balance(world.ledger.address) == 400


@pytest.mark.parametrize("until", ["open", "finalised", "aborted"])
def test_a_round_that_is_not_committed_does_not_hold_the_escrow(world: World, run: bytes, until: str) -> None:
    world.play(run, 1, until)
    world.call("rosa", "closeRun", run)
    world.engine.advance(DELAY)
    world.call("rosa", "closeRun", run)
    assert world.view("runs", run)["state"] == RunState.CLOSED


def test_a_run_without_escrow_closes(world: World) -> None:
    run = world.create_run(escrow=0, delay=0)
    world.call("rosa", "closeRun", run)
    world.call("rosa", "closeRun", run)
    assert world.event().values == {"run": run, "state": RunState.CLOSED}


def test_a_refund_that_failed_at_a_stop_can_be_fetched_later(world: World) -> None:
    token = odd_token(world)
    run = world.create_run(token=token)
    become(token, Mood.REVERTS)
    world.vote(Act.STOP_RUN, info=run)
    become(token, Mood.HONEST)
    world.call("rosa", "closeRun", run)
    assert world.event().values == {"run": run, "sponsor": account("rosa"), "amount": ESCROW}
    assert world.balance(account("rosa"), token) == ESCROW
    with refused("escrow is empty"):
        world.call("rosa", "closeRun", run)


def test_a_stopped_run_that_was_refunded_has_nothing_left(world: World, run: bytes) -> None:
    world.vote(Act.STOP_RUN, info=run)
    with refused("escrow is empty"):
        world.call("rosa", "closeRun", run)
