"""``claim``: an account gets the difference between what it earned and what it was paid."""

import pytest

from ledger.merkle import reward_leaf
from ledger.records import Act
from tests.contracts.harness import account, refused, word
from tests.contracts.odd_tokens import Mood, become, odd_token, quiet_token
from tests.contracts.world import DELAY, HOLDERS, World, rewards_of

FIRST = {"ada": 100, "ben": 50}
SECOND = {"ada": 130, "ben": 50, "cleo": 20}


@pytest.fixture
def paid(world: World, run: bytes) -> bytes:
    """A run with two rounds that paid 150 and then 50."""
    for n, sums, reward in ((1, FIRST, 150), (2, SECOND, 50)):
        world.play(run, n, "included")
        world.finalise(run, n, rewards=sums, reward=reward)
    return run


def test_the_owner_claims_everything_from_the_latest_round(world: World, paid: bytes) -> None:
    world.claim(paid, 2, "ada", 130, rewards_of(paid, SECOND), sender="ada")
    assert world.event().values == {"run": paid, "account": account("ada"), "amount": 130}
    assert world.balance(account("ada")) == 130
    assert world.view("claimedOf", paid, account("ada")) == 130
    assert world.view("runs", paid)["claimed"] == 130


def test_anyone_can_push_a_payment_to_its_owner(world: World, paid: bytes) -> None:
    world.claim(paid, 2, "ada", 130, rewards_of(paid, SECOND), sender="anyone")
    assert (world.balance(account("ada")), world.balance(account("anyone"))) == (130, 0)


def test_a_second_claim_pays_the_difference(world: World, paid: bytes) -> None:
    world.claim(paid, 1, "ada", 100, rewards_of(paid, FIRST))
    world.claim(paid, 2, "ada", 130, rewards_of(paid, SECOND))
    assert world.event().values["amount"] == 30
    assert world.balance(account("ada")) == 130


def test_the_same_claim_pays_once(world: World, paid: bytes) -> None:
    world.claim(paid, 2, "ada", 130, rewards_of(paid, SECOND))
    with refused("nothing to claim"):
        world.claim(paid, 2, "ada", 130, rewards_of(paid, SECOND))


def test_an_earlier_round_pays_nothing_after_a_later_one(world: World, paid: bytes) -> None:
    world.claim(paid, 2, "ada", 130, rewards_of(paid, SECOND))
    with refused("nothing to claim"):
        world.claim(paid, 1, "ada", 100, rewards_of(paid, FIRST))


def test_a_proof_of_another_sum_account_or_run_is_refused(world: World, paid: bytes) -> None:
    tree = rewards_of(paid, SECOND)
    proof = tree.proof(reward_leaf(paid, account("ada"), 130))
    for claimant, amount in (("ada", 131), ("dan", 130)):
        with refused("proof does not lead to the rewards root"):
            world.call("anyone", "claim", paid, 2, account(claimant), amount, proof)


def test_a_proof_with_a_hash_too_many_or_too_few_is_refused(world: World, paid: bytes) -> None:
    proof = rewards_of(paid, SECOND).proof(reward_leaf(paid, account("ada"), 130))
    for candidate in (proof[:-1], (*proof, word("more")), ()):
        with refused("proof does not lead to the rewards root"):
            world.call("anyone", "claim", paid, 2, account("ada"), 130, candidate)


@pytest.mark.parametrize("n", [0, 3, 99])
def test_a_round_that_paid_nothing_has_nothing_to_claim(world: World, paid: bytes, n: int) -> None:
    world.play(paid, 3)
    with refused("round has no rewards"):
        world.claim(paid, n, "ada", 130, rewards_of(paid, SECOND))


def test_claims_never_exceed_what_the_rounds_promised(world: World, run: bytes) -> None:
    generous = dict.fromkeys(HOLDERS, 100)
    world.play(run, 1, "included")
    world.finalise(run, 1, rewards=generous, reward=250)
    tree = rewards_of(run, generous)
    world.claim(run, 1, "ada", 100, tree)
    world.claim(run, 1, "ben", 100, tree)
    with refused("claims exceed what was promised"):
        world.claim(run, 1, "cleo", 100, tree)


def test_rewards_are_paid_after_the_run_is_closed_or_stopped(world: World, paid: bytes) -> None:
    world.call("rosa", "closeRun", paid)
    world.claim(paid, 2, "ada", 130, rewards_of(paid, SECOND))
    world.engine.advance(DELAY)
    world.call("rosa", "closeRun", paid)
    world.claim(paid, 2, "ben", 50, rewards_of(paid, SECOND))


def test_rewards_are_paid_while_paused_and_to_removed_members(world: World, paid: bytes) -> None:
    world.vote(Act.REMOVE, subject=account("cleo"))
    world.call("odo", "pause")
    world.claim(paid, 2, "cleo", 20, rewards_of(paid, SECOND))
    assert world.balance(account("cleo")) == 20


def test_a_claim_that_the_token_refuses_can_be_made_again(world: World) -> None:
    token = odd_token(world)
    run = world.ready_run(token=token)
    world.play(run, 1, "included")
    world.finalise(run, 1, rewards=FIRST, reward=150)
    become(token, Mood.ANSWERS_NO)
    with refused("token refused the transfer"):
        world.claim(run, 1, "ada", 100, rewards_of(run, FIRST))
    become(token, Mood.HONEST)
    world.claim(run, 1, "ada", 100, rewards_of(run, FIRST))
    assert world.balance(account("ada"), token) == 100


def test_a_token_that_returns_nothing_pays(world: World) -> None:
    token = quiet_token(world)
    run = world.ready_run(token=token)
    world.play(run, 1, "included")
    world.finalise(run, 1, rewards=FIRST, reward=150)
    world.claim(run, 1, "ada", 100, rewards_of(run, FIRST))
    assert world.balance(account("ada"), token) == 100
