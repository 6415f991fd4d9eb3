"""Each method of the writer is one function of the contract, happens once per intent, and raises its refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fl_core.errors import LocalProtocolError
from ledger.artifacts import load
from ledger.errors import IntentConflict, Reverted, WrongChain
from ledger.merkle import reward_leaf
from ledger.records import Act, Role, RoundState, RunState
from ledger.rewards import RewardPolicy, RoundFacts, allocate, rewards_tree
from ledger.typed_data import model_id
from ledger.writer import LedgerWriter, deploy_ledger, deploy_token
from tests.unit.ledger.embedded_world import account
from tests.unit.ledger.ledger_world import ESCROW, NODES, TERMS, LedgerWorld, ledger_on, word


@pytest.fixture(params=NODES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerWorld]:
    with ledger_on(request.param, tmp_path) as made:
        yield made


def test_a_whole_run_from_the_first_vote_to_the_refund(world: LedgerWorld) -> None:
    world.begin(closing_delay=10)
    run, reader, writer = world.run, world.reader, world.writer
    earned = allocate(RewardPolicy.EQUAL, RoundFacts(included=world.accounts[1:3]), 101, {}).earned
    tree = rewards_tree(run, earned)
    model = world.play(1, world.root, tree.root, 101)
    assert reader.model(model).parent == world.root
    for member in world.accounts[1:3]:
        proof = tree.proof(reward_leaf(run, member, earned[member]))
        writer.claim(run, 1, member, earned[member], proof, intent=f"claim {member.hex()}")
        assert reader.claimed(run, member) == reader.token_balance(world.token, member) == earned[member]
    writer.open_round(run, 2, model, word(102), intent="open 2")
    writer.abort_round(run, 2, intent="abort 2")
    assert reader.round(run, 2).state is RoundState.ABORTED
    world.writers[1].objection(run, 1, word(5), intent="objection")
    assert reader.events("Objection")[0].values["member"] == world.accounts[1]
    world.writers[2].withdraw(run, intent="withdraw")
    assert reader.consent(run, world.accounts[2]) == bytes(32)
    writer.close_run(run, intent="close")
    assert reader.run(run).state is RunState.CLOSING
    with pytest.raises(Reverted, match="closing delay is not over"):
        writer.close_run(run, intent="refund")
    world.pass_time(100)
    writer.close_run(run, intent="refund")
    assert reader.run(run).state is RunState.CLOSED
    assert reader.token_balance(world.token, world.accounts[0]) == ESCROW - 101


def test_votes_admit_remove_and_restart(world: LedgerWorld) -> None:
    writers, reader, guest = world.writers, world.reader, account(9).address
    for member in (0, 1):
        assert reader.member(guest).roles == Role(0)
        writers[member].vote(Act.ADMIT, guest, Role.AUDITOR, word(1), intent="admit")
    assert reader.member(guest).roles is Role.AUDITOR
    writers[0].pause(intent="pause")
    assert reader.paused()
    with pytest.raises(Reverted, match="ledger is paused"):
        writers[1].accept(world.run, TERMS, intent="accept")
    for member in (0, 1):
        writers[member].vote(Act.UNPAUSE, intent="unpause")
    assert not reader.paused()
    for member in (0, 1):
        writers[member].vote(Act.THRESHOLD, info=word(3), intent="threshold")
    assert reader.threshold() == 3
    for member in (0, 1, 2):
        writers[member].vote(Act.REMOVE, guest, intent="remove")
    assert reader.member(guest).roles == Role(0)


def test_the_consent_of_a_removed_holder_can_be_struck(world: LedgerWorld) -> None:
    world.begin()
    holder = world.accounts[3]
    with pytest.raises(Reverted, match="still a holder"):
        world.writer.drop_consent(world.run, holder, intent="drop")
    for member in (0, 1):
        world.writers[member].vote(Act.REMOVE, holder, intent="remove")
    world.writer.drop_consent(world.run, holder, intent="drop")
    assert world.reader.run(world.run).accepted == 3


def test_refusals_carry_function_and_reason(world: LedgerWorld) -> None:
    world.begin()
    with pytest.raises(Reverted) as caught:
        world.writer.open_round(world.run, 2, world.root, word(1), intent="open 2")
    assert caught.value.function == "openRound"
    assert caught.value.reason == "training_ledger: round is not the next one"
    with pytest.raises(Reverted, match="caller is not the run's coordinator"):
        world.writers[1].open_round(world.run, 1, world.root, word(1), intent="open 1")


def test_the_same_intent_again_changes_nothing(world: LedgerWorld) -> None:
    world.begin()
    receipt = world.writer.open_round(world.run, 1, world.root, word(1), intent="open 1")
    height = world.reader.head().number
    again = LedgerWriter(world.connection, world.address, world.signers[0], world.outbox(0))
    assert again.open_round(world.run, 1, world.root, word(1), intent="open 1") == receipt
    assert again.recover() == ()
    assert again.account == world.accounts[0]
    with pytest.raises(IntentConflict):
        again.open_round(world.run, 1, world.root, word(2), intent="open 1")
    assert world.reader.head().number == height
    again.close()


def test_words_and_addresses_of_another_size_never_leave_the_program(world: LedgerWorld) -> None:
    for run, parent in ((bytes(31), bytes(32)), (bytes(32), bytes(33))):
        with pytest.raises(LocalProtocolError):
            world.writer.open_round(run, 1, parent, word(1), intent="open")
    with pytest.raises(LocalProtocolError):
        world.writer.mint(world.token, bytes(19), 1, intent="mint")
    with pytest.raises(LocalProtocolError):
        world.writer.mint(world.token, bytes(20), -1, intent="mint")


def test_deploying_again_with_the_same_intent_gives_the_same_contract(world: LedgerWorld) -> None:
    height = world.reader.head().number
    first = world.signers[0]
    assert world.token == deploy_token(
        world.connection, first, world.outbox(0), minter=first.address, cap=10**12
    )
    assert world.reader.head().number == height
    with pytest.raises(IntentConflict):
        deploy_token(world.connection, first, world.outbox(0), minter=first.address, cap=1)
    another = deploy_ledger(
        world.connection,
        first,
        world.outbox(0),
        founders={first.address: Role.HOLDER},
        threshold=1,
        intent="second",
    )
    assert another != world.address


def test_a_ledger_that_cannot_be_is_refused(world: LedgerWorld) -> None:
    first = world.signers[0]
    with pytest.raises(Reverted, match="threshold is out of range"):
        deploy_ledger(
            world.connection,
            first,
            world.outbox(0),
            founders={first.address: Role.HOLDER},
            threshold=2,
            intent="bad",
        )


def test_a_node_that_deploys_something_else_is_caught(world: LedgerWorld) -> None:
    class Lying:
        """A connection that shows another code."""

        def __getattr__(self, name: str) -> object:
            return getattr(world.connection, name)

        def code(self, address: bytes) -> bytes:
            return load("RewardToken").runtime

    first = world.signers[0]
    with pytest.raises(WrongChain, match="is not RewardToken"):
        deploy_token(
            Lying(),
            first,
            world.outbox(0),
            minter=first.address,
            cap=5,
            intent="third",  # type: ignore[arg-type]
        )


def test_tokens_are_minted_approved_and_sent(world: LedgerWorld) -> None:
    writer, reader, token = world.writer, world.reader, world.token
    writer.mint(token, world.accounts[0], 100, intent="mint")
    writer.transfer(token, world.accounts[1], 30, intent="transfer")
    assert [reader.token_balance(token, a) for a in world.accounts[:2]] == [70, 30]
    with pytest.raises(Reverted):
        writer.transfer(token, world.accounts[1], 71, intent="too much")
    with pytest.raises(Reverted, match="minter"):
        world.writers[1].mint(token, world.accounts[1], 1, intent="mint")


def test_every_function_of_the_contracts_has_a_method() -> None:
    """Names are those of the ABI in snake case; reading functions are the reader's."""
    import re

    changing = {"nonpayable", "payable"}
    names = {
        re.sub("[A-Z]", lambda m: "_" + m[0].lower(), element["name"])
        for element in load("TrainingLedger").abi
        if element["type"] == "function" and element["stateMutability"] in changing
    }
    assert names <= set(dir(LedgerWriter))
    assert len(names) == 18


def test_a_model_id_is_the_contracts(world: LedgerWorld) -> None:
    world.begin()
    assert (
        world.play(1, world.root)
        == model_id(world.run, 1, word(401))
        == world.reader.round(world.run, 1).model
    )
