"""Four Besu validators with the files of ``suture ledger network``: they agree, a ledger lives on them, one may fail, sets change.

Run with ``pytest -m bft`` where Besu and a Java runtime are. Nobody has seen these tests pass yet: there was no Besu where they were
written. What they ask is what docs/how-to/run-a-consortium-chain.md promises.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ledger.audit.light_options import pin_validators
from ledger.light.qbft import ExtraData
from ledger.light.records import Subject
from ledger.light.result import LightResult, look_up
from ledger.light.verify import LightVerification, Pins
from tests.simulators.besu import BLOCK_S, BesuNetwork, BesuNode
from tests.simulators.besu import CHAIN_ID as CHAIN
from tests.simulators.patience import patient
from tests.unit.ledger.ledger_world import LedgerWorld, word

pytestmark = [pytest.mark.bft, pytest.mark.slow, pytest.mark.network, pytest.mark.e2e]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BesuNetwork]:
    with BesuNetwork(tmp_path_factory.mktemp("besu")) as running:
        yield running


@pytest.fixture(scope="module")
def world(network: BesuNetwork, tmp_path_factory: pytest.TempPathFactory) -> LedgerWorld:
    """A ledger with a run and one finished round, written through the first node."""
    made = LedgerWorld(tmp_path_factory.mktemp("ledger"), node=network.nodes[0])  # type: ignore[arg-type]
    made.begin()
    made.play(1, made.root)
    return made


def verified(network: BesuNetwork, node: BesuNode, world: LedgerWorld) -> LightResult:
    """Ask one node for the model of round 1, with nothing pinned but the genesis file."""
    pins = pin_validators(Pins(chain_id=CHAIN, contract=world.address), [], network.genesis, None)
    verification = LightVerification({"node": node.connection()}, pins, now=int(time.time()))
    return look_up(verification, Subject(artifact=word(401)))


def validators_of(node: BesuNode) -> set[bytes]:
    block = node.connection().raw_block(None)
    assert block is not None
    return set(ExtraData.decode(bytes.fromhex(str(block["extraData"])[2:])).validators)


def test_block_0_has_the_hash_that_the_files_name_at_every_node(network: BesuNetwork) -> None:
    for node in network.nodes:
        assert node.connection().block_hash(0) == network.genesis_hash


def test_every_node_proves_a_model_under_the_seals_of_the_validators(
    network: BesuNetwork, world: LedgerWorld
) -> None:
    written = world.connection.head().number
    for place, node in enumerate(network.nodes):
        network.wait_for_block(written, at=place)
        result = verified(network, node, world)
        assert result.known, [(o.check.name, o.summary) for o in result.outcomes]
        assert "validators" in result.vouchers[0]


def test_one_validator_of_four_may_fail_and_two_may_not(network: BesuNetwork, world: LedgerWorld) -> None:
    first, *_, third, fourth = network.nodes
    fourth.stop()
    network.wait_for_block(first.height() + 3, 2 * BLOCK_S)
    assert verified(network, first, world).known
    third.stop()
    time.sleep(5)  # what was under way is done
    stopped = first.height()
    time.sleep(15)
    assert first.height() == stopped
    for node in (third, fourth):
        node.start()
    network.wait_for_block(stopped + 2, 4 * BLOCK_S)


def test_a_validator_that_is_voted_out_is_followed_from_the_genesis_file(
    network: BesuNetwork, world: LedgerWorld
) -> None:
    """The last test: three validators are left."""
    leaver = network.validators[3]
    for node in network.nodes[:3]:
        assert node.ask("qbft_proposeValidatorVote", "0x" + leaver.hex(), False) is True
    end = time.monotonic() + patient(2 * BLOCK_S)
    while leaver in validators_of(network.nodes[0]):
        assert time.monotonic() < end, "the vote did not pass"
        time.sleep(0.5)
    network.wait_for_block(network.nodes[0].height() + 2)
    result = verified(network, network.nodes[0], world)
    assert result.known, [(o.check.name, o.summary) for o in result.outcomes]
    seals = next(o.summary for o in result.outcomes if o.check.name == "seals")
    assert "of 3 validators" in seals and "changed 1 time" in seals
