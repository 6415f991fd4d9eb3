"""The same calls on three independent EVMs, at the forks between Shanghai and Osaka, and on the embedded chain have the same effects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ledger.artifacts import load
from ledger.errors import Reverted
from ledger.records import Act, Role
from ledger.typed_data import model_id
from tests.contracts.anvil_engine import OPTIONS, AnvilEngine
from tests.contracts.embedded_engine import EmbeddedEngine
from tests.contracts.engines import HAS_REVM, Engine, PyEvm, Revm
from tests.contracts.harness import account, word
from tests.contracts.world import DELAY, HOLDERS, World, rewards_of
from tests.simulators.anvil import Anvil


def story(engine: Engine) -> list[Any]:
    """Play a run from its creation to its end, with refusals; return every event, refusal and final record."""
    world = World(engine)
    told: list[Any] = []

    def tell() -> None:
        told.extend(
            (event.name, event.values) for event in world.ledger.events() if event.name != "RunClosing"
        )

    def refuse(sender: str, function: str, *arguments: Any) -> None:
        with pytest.raises(Reverted) as caught:
            world.call(sender, function, *arguments)
        told.append(caught.value.reason)

    world.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER)
    tell()
    run = world.ready_run()
    tell()
    refuse("kim", "commitRound", run, 1, word("V"), 4)
    for n in (1, 2):
        sums = {name: 100 * n for name in HOLDERS}
        world.play(run, n, "included")
        tell()
        world.finalise(run, n, rewards=sums, reward=400)
        tell()
    world.claim(run, 2, "ada", 200, rewards_of(run, sums))
    tell()
    refuse("ada", "claim", run, 2, account("ada"), 200, ())
    world.call("rosa", "closeRun", run)
    refuse("rosa", "closeRun", run)
    engine.advance(DELAY + 60)
    world.call("rosa", "closeRun", run)
    tell()
    closed = world.view("runs", run)
    told.append({name: value for name, value in closed.items() if name != "closesAt"})
    told.append(world.view("round", run, 2))
    told.append(world.view("models", model_id(run, 2, word("artifact 2"))))
    expected = load("TrainingLedger").deployed_code({"DOMAIN": world.domain.separator()})
    told.append(engine.code(world.ledger.address) == expected)
    return told


@pytest.fixture(scope="module")
def reference() -> list[Any]:
    """The story as py-evm tells it."""
    told = story(PyEvm())
    assert told[-1] is True, "the code on the chain is not the artifact's"
    return told


@pytest.mark.skipif(not HAS_REVM, reason="pyrevm is not here: it has no wheels for this Python")
def test_py_evm_and_revm_tell_the_same_story_at_every_fork(reference: list[Any]) -> None:
    for fork in ("SHANGHAI", "CANCUN", "PRAGUE"):
        assert story(Revm(fork=fork)) == reference, fork


def test_the_embedded_chain_tells_the_same_story(reference: list[Any], tmp_path: Path) -> None:
    with EmbeddedEngine(tmp_path / "ledger.sqlite") as engine:
        assert story(engine) == reference


@pytest.mark.anvil
@pytest.mark.network
@pytest.mark.parametrize("fork", ["shanghai", "cancun", "prague", "osaka"])
def test_a_real_node_tells_the_same_story(reference: list[Any], fork: str) -> None:
    with Anvil(**OPTIONS, hardfork=fork) as node:
        assert story(AnvilEngine(node)) == reference
