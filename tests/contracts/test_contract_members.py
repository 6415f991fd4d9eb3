"""A member can be an account with code, such as a multi-signature wallet: who calls counts, not who signed the transaction."""

from __future__ import annotations

from typing import Any

from eth_abi.abi import encode

from ledger.artifacts import load
from ledger.records import EMPTY_ADDRESS, EMPTY_WORD, Act, Role
from ledger.typed_data import KeyPossession, model_id, run_id
from tests.contracts.harness import Contract, account, refused, sign, type_of, word
from tests.contracts.odd_tokens import compiled
from tests.contracts.world import DELAY, World, dataset_of, rewards_of

ALL = Role.HOLDER | Role.RESEARCHER | Role.AUDITOR | Role.COORDINATOR


class Wallet:
    """A contract account that nobody else is: its transactions are signed by a stranger."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.contract = Contract.deploy(world.engine, "rosa", compiled("Account"))
        self.address = self.contract.address

    def call(self, function: str, *arguments: Any, on: Contract | None = None) -> None:
        target = on or self.world.ledger
        abi: Any = target.artifact.function(function)
        types = [type_of(parameter) for parameter in abi["inputs"]]
        selector = target.artifact.method_identifiers[f"{function}({','.join(types)})"]
        self.contract.call("stranger", "execute", target.address, selector + encode(types, arguments))
        target.last = self.contract.last
        for event in target.events():  # the signer of the transaction is in none
            assert account("stranger") not in event.values.values(), event

    def join(self) -> None:
        self.world.vote(Act.ADMIT, subject=self.address, roles=ALL)
        proof = KeyPossession(member=self.address, epoch=1, encryption=word("bundle"))
        signature = sign("wallet's key", proof.digest(self.world.domain))
        self.call("setKeys", account("wallet's key"), word("bundle"), signature)


def test_a_wallet_plays_every_part(world: World) -> None:
    wallet = Wallet(world)
    with refused("caller is not a member"):
        wallet.call("vote", int(Act.ADMIT), account("eve"), int(Role.HOLDER), EMPTY_WORD)
    wallet.join()
    assert world.view("signerOf", account("wallet's key")) == wallet.address
    assert world.view("member", wallet.address)["epoch"] == 1
    assert world.view("keysAt", wallet.address, 1)["signer"] == account("wallet's key")

    world.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER, voters=("ada",))
    wallet.call("vote", int(Act.ADMIT), account("eve"), int(Role.HOLDER), EMPTY_WORD)
    assert world.view("member", account("eve"))["roles"] == Role.HOLDER

    run = run_id(wallet.address, word("terms"))
    world.token.call("rosa", "mint", wallet.address, 100)
    wallet.call("approve", world.ledger.address, 100, on=world.token)
    wallet.call("createRun", run, word("terms"), world.token.address, 100, 1, 10, 20, wallet.address, DELAY)
    assert world.view("runs", run)["sponsor"] == wallet.address
    wallet.call("grantBudget", dataset_of("wallet"), 30)
    wallet.call("accept", run, word("terms"), dataset_of("wallet"))
    assert world.view("consent", run, wallet.address) == word("terms")
    with refused("consent was given already"):
        wallet.call("accept", run, word("terms"), dataset_of("wallet"))
    assert world.view("budgetOf", wallet.address, dataset_of("wallet")) == {
        "granted": 30,
        "reserved": 20,
        "spent": 0,
    }
    assert world.view("pledgeOf", run, wallet.address)["dataset"] == dataset_of("wallet")

    wallet.call("registerRoot", run, word("root"), EMPTY_WORD)
    wallet.call("openRound", run, 1, model_id(run, 0, word("root")), word("header"), 4)
    wallet.call("commitRound", run, 1, word("V"), 1)
    wallet.call("commitIncluded", run, 1, word("V"), 1, EMPTY_WORD)
    tree = rewards_of(run, {"ada": 40})
    wallet.call("finaliseRound", run, 1, word("model"), word("key"), EMPTY_WORD, tree.root, 40)
    wallet.call("openRound", run, 2, model_id(run, 1, word("model")), word("header"), 0)
    wallet.call("abortRound", run, 2)
    wallet.call("objection", run, 2, word("reason"))
    world.claim(run, 1, "ada", 40, tree)
    wallet.call("closeRun", run)
    world.engine.advance(DELAY)
    wallet.call("closeRun", run)
    assert world.balance(wallet.address) == 60
    wallet.call("withdraw", run)
    assert world.view("budgetOf", wallet.address, dataset_of("wallet"))["spent"] == 4
    wallet.call("pause")
    assert world.view("paused") is True


def test_a_wallets_own_votes_and_budgets_bind_it(world: World) -> None:
    wallet = Wallet(world)
    wallet.join()
    admission = (int(Act.ADMIT), account("eve"), int(Role.HOLDER), EMPTY_WORD)
    world.vote(Act.THRESHOLD, info=(3).to_bytes(32, "big"))
    wallet.call("vote", *admission)
    with refused("caller has voted"):
        wallet.call("vote", *admission)
    world.call("ada", "vote", *admission)
    assert world.view("member", account("eve"))["roles"] == 0

    world.call("odo", "pause")
    world.vote(Act.UNPAUSE, voters=("ada", "ben"))
    wallet.call("vote", int(Act.UNPAUSE), EMPTY_ADDRESS, 0, EMPTY_WORD)
    assert world.ledger.events()[-1].values == {"by": wallet.address, "paused": False}

    run = world.create_run(budget=20)
    wallet.call("grantBudget", dataset_of("wallet"), 30)
    wallet.call("accept", run, word("terms"), dataset_of("wallet"))
    with refused("data set has less budget left"):
        wallet.call("grantBudget", dataset_of("wallet"), 19)
    wallet.call("grantBudget", dataset_of("wallet"), 20)


def test_a_sponsor_that_signs_a_wallets_transaction_does_not_close_its_run(world: World) -> None:
    wallet, run = Wallet(world), world.create_run()
    selector = load("TrainingLedger").method_identifiers["closeRun(bytes32)"]
    for signer in ("rosa", "kim"):
        with refused("caller is neither coordinator nor sponsor"):
            wallet.contract.call(signer, "execute", world.ledger.address, selector + run)


def test_a_member_that_signs_a_wallets_transaction_lends_it_no_rights(world: World) -> None:
    """A wallet, or any contract that a member calls, cannot act as the member."""
    wallet = Wallet(world)
    selector = load("TrainingLedger").method_identifiers["pause()"]
    with refused("account lacks the role"):
        wallet.contract.call("odo", "execute", world.ledger.address, selector)


def test_a_wallet_moves_its_own_tokens_only(world: World) -> None:
    wallet = Wallet(world)
    world.token.call("rosa", "mint", wallet.address, 100)
    world.token.call("rosa", "mint", account("stranger"), 5)
    wallet.call("transfer", account("ada"), 30, on=world.token)
    wallet.call("burn", 20, on=world.token)
    wallet.call("approve", account("ben"), 7, on=world.token)
    assert world.token.view("allowance", wallet.address, account("ben")) == 7
    world.token.call("ada", "approve", wallet.address, 10)
    wallet.call("transferFrom", account("ada"), wallet.address, 10, on=world.token)
    assert world.token.view("allowance", account("ada"), wallet.address) == 0
    assert (world.balance(wallet.address), world.balance(account("stranger"))) == (60, 5)
    assert world.balance(account("ada")) == 20


def test_a_minter_that_signs_a_wallets_transaction_makes_no_tokens(world: World) -> None:
    wallet = Wallet(world)
    selector = load("RewardToken").method_identifiers["mint(address,uint256)"]
    order = selector + encode(["address", "uint256"], [wallet.address, 1])
    with refused("caller is not the minter", contract="reward_token"):
        wallet.contract.call("rosa", "execute", world.token.address, order)
    world.token.call("rosa", "mint", wallet.address, 1)
