"""Nodes decide on their own copies of the coordinator's chain, and only on what enough of them co-signed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.calls import BeginCall
from clients.door import Method
from clients.errors import PolicyRefusal
from clients.hospital import Hospital
from clients.node.house import open_house, read_copy
from clients.node.service import Node
from coordinator.history import newest_model
from coordinator.session import RoundSession
from fl_core.models import encode_model
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.randomness import SystemRandomSource
from ledger.checkpoints import SignedCheckpoint
from ledger.errors import CheckpointRefused, NotFinal
from tests.simulators.founded_run import RunWithNodes, coordinator_of, copied, found, now

PATIENCE_S = 0.2


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("founded") / "run", rounds=3)


@pytest.fixture
def world(founded: Path, tmp_path: Path) -> Iterator[RunWithNodes]:
    made = RunWithNodes(copied(founded, tmp_path / "run"))
    yield made
    made.close()


def nodes(world: RunWithNodes) -> list[Node]:
    found = [hospital._node for hospital in world._hospitals]
    return [node for node in found if node is not None]


def impatient(node: Node) -> Node:
    node.settle_ledger.__self__._patience_s = PATIENCE_S  # type: ignore[attr-defined]
    return node


def begin(session: RoundSession, node: Node) -> None:
    call = BeginCall(header=session.header.encode(), model=encode_model(session.tensors))
    node.call(Method.BEGIN, call.encode())


def test_every_node_has_a_copy_of_its_own_and_reads_nothing_else(world: RunWithNodes) -> None:
    session = world.open_round()
    for account in world.holders:
        world.begin(session, account)
    for node, folder in zip(nodes(world), sorted((world.folder / "nodes").iterdir()), strict=True):
        assert node.reader is not None
        assert node.reader._connection._chain.path == folder / "chain" / "ledger.sqlite"  # type: ignore[attr-defined]
        assert node.reader.head() == world.run.reader.head()
        copy = read_copy(open_house(folder))
        assert copy is not None
        assert copy.final == copy.signed == copy.head.number == world.run.reader.head().number


def test_a_node_begins_nothing_while_two_of_four_hospitals_follow_and_does_with_three(
    world: RunWithNodes,
) -> None:
    accounts = learn_prekeys(world)
    asked = impatient(nodes(world)[0])
    third = world._hospitals[2]
    for hospital in world._hospitals[2:]:
        hospital.close()
    session = RoundSession(world.run, world.model(), accounts, world.run.clock() + 3600)
    with pytest.raises(NotFinal, match="co-signed by 2 of the 3 members needed"):
        begin(session, asked)
    third.serve_in_process()
    begin(session, asked)


def learn_prekeys(world: RunWithNodes) -> list[bytes]:
    """Learn the nodes' prekeys; return their accounts."""
    for account, holder in world.holders.items():
        status = json.loads(holder.call(Method.STATUS, b""))
        world.run.prekeys[account] = SignedPrekey.decode(bytes.fromhex(status["prekey"]))
    return list(world.holders)


def test_the_author_signs_what_it_asks_nodes_to_act_on(world: RunWithNodes) -> None:
    world.open_round()
    path = world.run.public.checkpoints / world.run.account.address.hex()
    signed = SignedCheckpoint.decode(path.read_bytes())
    head = world.run.reader.head()
    assert (signed.number, signed.hash) == (head.number, head.hash)


def test_an_author_with_an_old_copy_of_its_chain_stops_before_it_asks_anybody(
    founded: Path, tmp_path: Path
) -> None:
    folder = copied(founded, tmp_path / "run")
    with coordinator_of(folder) as run:
        run.chain.copy_to(tmp_path / "old.sqlite")
        number = run.reader.run(run.run).opened + 1
        run.vouch()
        parent, _ = newest_model(run)
        run.writer.open_round(run.run, number, parent, bytes([7]) * 32, intent="open")
        run.vouch()
    (tmp_path / "old.sqlite").replace(folder / "public" / "ledger.sqlite")
    (folder / "coordinator" / "outbox.sqlite").unlink()
    with coordinator_of(folder) as run, pytest.raises(CheckpointRefused):
        run.vouch()


def test_a_node_whose_records_changed_since_the_consent_trains_on_nothing_until_they_are_back(
    founded: Path, tmp_path: Path
) -> None:
    folder = copied(founded, tmp_path / "run")
    records = min((folder / "nodes").iterdir()) / "data" / "records.csv"
    before = records.read_bytes()
    records.write_bytes(before + before.splitlines(keepends=True)[-1])
    world = RunWithNodes(folder)
    try:
        session, changed = world.open_round(), nodes(world)[0]
        with pytest.raises(PolicyRefusal, match="pledged for this run was"):
            begin(session, changed)
        for node in nodes(world)[1:]:
            begin(session, node)
        records.write_bytes(before)
        world._hospitals[0].close()
        again = Hospital(records.parents[1], clock=now, random=SystemRandomSource())
        world._hospitals[0] = again
        again.serve_in_process()
        begin(session, nodes(world)[0])
    finally:
        world.close()
