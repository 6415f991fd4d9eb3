"""What a view returns follows from proven storage: the same as the contract computes, on an embedded chain and on anvil."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from fl_core.errors import VerificationError
from ledger.chain.abi import interface
from ledger.chain.jsonrpc import Json, to_bytes
from ledger.light.header import Header
from ledger.light.nodes import Block
from ledger.light.state import ContractState
from ledger.light.views import LEDGER_VIEWS, TOKEN_VIEWS, proven
from ledger.typed_data import model_id
from tests.unit.ledger.ledger_world import NODES, LedgerWorld, ledger_on, word

ROUNDS = 3


@pytest.fixture(scope="module", params=NODES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerWorld]:
    """A run after three rounds, with promised rewards, and with a fourth round open."""
    with ledger_on(request.param, tmp_path_factory.mktemp("ledger")) as made:
        made.begin()
        model = made.root
        for number in range(1, ROUNDS + 1):
            model = made.play(number, model, word(77), 10)
        made.writer.open_round(made.run, ROUNDS + 1, model, word(9), intent="open")
        yield made


def head(world: LedgerWorld) -> Block:
    block = world.connection.raw_block(None)
    assert block is not None
    return Block(header=Header.of(block), hash=to_bytes(block["hash"]))


def state(world: LedgerWorld, address: bytes) -> ContractState:
    return ContractState({"the node": world.connection}, head(world), address)


def computed(world: LedgerWorld, contract: str, address: bytes, name: str, *arguments: object) -> Any:
    return world.connection.call(address, interface(contract).function(name), *arguments)


def models(world: LedgerWorld) -> list[bytes]:
    return [world.root, *(model_id(world.run, number, word(400 + number)) for number in range(1, ROUNDS + 1))]


def test_views_of_the_ledger_follow_from_its_storage(world: LedgerWorld) -> None:
    storage = state(world, world.address)
    asked = [("runs", run) for run in (world.run, word(5))]
    asked += [(name, model) for name in ("models", "lineage") for model in (*models(world), word(5))]
    for name, argument in asked:
        said = computed(world, "TrainingLedger", world.address, name, argument)
        assert proven(LEDGER_VIEWS, name, storage, [argument]) == said, name
    (ancestors,) = proven(LEDGER_VIEWS, "lineage", storage, [models(world)[-1]])
    assert list(ancestors) == models(world)[-2::-1]
    (run,) = proven(LEDGER_VIEWS, "runs", storage, [world.run])
    assert {ROUNDS, ROUNDS + 1, 50, 4} < set(run)  # numbers that a wrong field would not have


def test_a_balance_follows_from_the_storage_of_the_token(world: LedgerWorld) -> None:
    for owner in (world.address, world.accounts[0], word(5)[-20:]):
        said = computed(world, "RewardToken", world.token, "balanceOf", owner)
        assert proven(TOKEN_VIEWS, "balanceOf", state(world, world.token), [owner]) == said


def test_code_and_absence_are_proven(world: LedgerWorld) -> None:
    nobody = state(world, word(5)[-20:])
    assert nobody.account is None
    assert nobody.words([0, 1]) == (0, 0)
    assert state(world, world.address).code_hash != nobody.code_hash


class Counting:
    """Passes proofs on, counts them, and changes what they say."""

    def __init__(self, world: LedgerWorld, change: Any = lambda answer: answer) -> None:
        self._connection, self._change = world.connection, change
        self.chain_id, self.asked = world.connection.chain_id, 0

    def raw_proof(self, address: bytes, slots: Sequence[int], number: int) -> Json:
        self.asked += 1
        return dict(self._change(self._connection.raw_proof(address, slots, number)))


def test_what_was_proven_once_is_not_asked_for_again(world: LedgerWorld) -> None:
    node = Counting(world)
    storage = ContractState({"the node": node}, head(world), world.address)  # type: ignore[dict-item]
    for _ in range(2):
        proven(LEDGER_VIEWS, "runs", storage, [world.run])
    assert node.asked == 2  # the account, and nine words at once


def test_false_words_are_refused(world: LedgerWorld) -> None:
    def without(answer: Json) -> Json:
        return {**answer, "storageProof": list(answer["storageProof"])[1:]}  # type: ignore[call-overload]

    def empty(answer: Json) -> Json:
        bare = [{**entry, "proof": []} for entry in list(answer["storageProof"])]  # type: ignore[call-overload]
        return {**answer, "storageProof": bare}

    for change, words in ((without, "leaves out a slot"), (empty, "does not lead from the root")):
        node = Counting(world, change)
        storage = ContractState({"the node": node}, head(world), world.address)  # type: ignore[dict-item]
        with pytest.raises(VerificationError, match=words):
            proven(LEDGER_VIEWS, "runs", storage, [world.run])
