"""docs/how-to/move-to-a-new-contract.md by the commands that it names, with a node that goes along."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ledger.typed_data import model_id
from tests.simulators.office import PEOPLE, ROLES, Office, with_member, with_run


@pytest.fixture
def office(embedded_office: Office) -> Office:
    return embedded_office


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"a model of the old ledger")
    return file


def test_a_root_is_registered_once_by_the_coordinator_only(office: Office, model: Path) -> None:
    run, _ = with_run(office)
    assert "nobody else registers a root" in office.refused("researcher", "run", "root", model)
    assert "cannot be read" in office.refused("coordinator", "run", "root", model.parent / "none")
    done = office.act("coordinator", "run", "root", model)
    artifact = hashlib.sha256(model.read_bytes()).digest()
    assert done["artifact"] == f"0x{artifact.hex()}"
    assert done["model"] == f"0x{model_id(bytes.fromhex(run[2:]), 0, artifact).hex()}"
    assert office.act("coordinator", "run", "root", model)["transactions"] == []
    office.act("researcher", "run", "close")
    model.write_bytes(b"another one")
    assert "train from nothing new" in office.refused("coordinator", "run", "root", model)


@pytest.mark.slow
def test_a_consortium_moves_with_its_model_and_its_budgets(office: Office, model: Path) -> None:
    terminal = office.terminal
    with_member(office, "birch")
    run, terms = with_run(office, budget=500)
    node = office.node("birch")
    terminal.sent("suture-node", "budget", "grant", node, "600")
    terminal.sent("suture-node", "consent", "give", node, "--terms", terms)
    office.act("coordinator", "run", "root", model)

    # 1. finish
    office.act("researcher", "run", "close")
    office.act("researcher", "run", "close")
    terminal.sent("suture-node", "budget", "settle", node)
    # 2. new folders for nodes
    again, data = office.node("birch-again"), office.folder / "records.csv"
    made = terminal.done("suture-node", "init", again, "--name", "Birch", "--data", data)
    # 3. deploy
    moved = Office(office.folder, terminal)
    moved.ledger = office.folder / "new" / "ledger.toml"
    moved.ledger.parent.mkdir()
    founders = [word for name in PEOPLE for word in ("--founder", f"{office.account(name)}={ROLES[name]}")]
    create = ("suture", "ledger", "create", moved.ledger, "--as", office.uri("coordinator"), *founders)
    terminal.sent(*create, "--founder", f"{made['account']}=holder", "--threshold", "2")
    assert moved.look("ledger", "show")["pinned"] is True
    # 4. agree: the old ledger takes no new work
    office.act("auditor", "pause")
    assert "follows another ledger" in terminal.refused("suture-node", "join", node, moved.ledger)
    # 5. join, keys, budgets: what is left of the old grant
    terminal.done("suture-node", "join", again, moved.ledger)
    terminal.sent("suture-node", "keys", "register", again)
    (old,) = terminal.done("suture-node", "budget", "show", node)["data_sets"]
    terminal.sent("suture-node", "budget", "grant", again, str(old["left"]))
    # 6. go on from the model
    new_run, new_terms = with_run(moved, budget=400)
    terminal.sent("suture-node", "consent", "give", again, "--terms", new_terms)
    registered = moved.act("coordinator", "run", "root", model)
    artifact = hashlib.sha256(model.read_bytes()).digest()
    assert registered["model"] == f"0x{model_id(bytes.fromhex(new_run[2:]), 0, artifact).hex()}"
    assert office.look("run", "show", run)["state"] == "CLOSED"
