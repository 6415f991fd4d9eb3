"""Where everything lies in storage is frozen: auditors read it by ``eth_getProof``, from any node, years later.

``tests/vectors/ledger/storage.json`` is the reviewed layout. Moving a variable is a change of *Formats* in the changelog;
a new one is added behind the others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from ledger.artifacts import NAMES, load
from ledger.records import Act, Role, RoundState, RunState
from ledger.typed_data import model_id
from tests.contracts.engines import PyEvm
from tests.contracts.harness import account, word
from tests.contracts.world import DELAY, ESCROW, World, dataset_of, rewards_of

LAYOUT: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "ledger" / "storage.json").read_text("utf-8")
)


def entry(variable: str, *keys: bytes | int) -> int:
    """Return the slot of a variable, or of an entry of a map: keccak256(slot . key), slot first."""
    place = load("TrainingLedger").storage_layout[variable].to_bytes(32, "big")
    for key in keys:
        place = keccak(place + (key.rjust(32, b"\0") if isinstance(key, bytes) else key.to_bytes(32, "big")))
    return int.from_bytes(place, "big")


@pytest.mark.parametrize("name", NAMES)
def test_the_slots_are_the_reviewed_ones(name: str) -> None:
    assert dict(load(name).storage_layout) == LAYOUT[name]["slots"]
    assert dict(load(name).immutables) == LAYOUT[name]["immutables"]


@pytest.fixture(scope="module")
def played() -> tuple[World, bytes]:
    """A ledger with a paid round, a closing run, a settled data set and one that is not."""
    world = World(PyEvm())
    run = world.ready_run(budget=50)
    world.open(run, 1, cost=7)
    world.commit(run, 1)
    world.include(run, 1)
    sums = {"ada": 100, "ben": 20}
    world.finalise(run, 1, rewards=sums, reward=120)
    world.claim(run, 1, "ada", 100, rewards_of(run, sums))
    world.call("ada", "withdraw", run)
    world.call("kim", "closeRun", run)
    world.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER, voters=("dan",))
    return world, run


def read(world: World, slot: int) -> int:
    assert isinstance(world.engine, PyEvm)
    return world.engine.storage(world.ledger.address, slot)


def number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def words(world: World, first: int, fields: list[str]) -> dict[str, int]:
    """Read a struct: each field has a slot of its own."""
    return {field: read(world, first + offset) for offset, field in enumerate(fields)}


def unpacked(word_: int, bits: dict[str, int]) -> dict[str, int]:
    """Take a packed word apart, from the low bits up."""
    found = {}
    for name, size in bits.items():
        found[name] = word_ & ((1 << size) - 1)
        word_ >>= size
    assert word_ == 0
    return found


STRUCTS: dict[str, list[str]] = LAYOUT["TrainingLedger"]["structs"]
PACKED: dict[str, dict[str, int]] = LAYOUT["TrainingLedger"]["packed"]


def test_a_run_lies_where_the_layout_says(played: tuple[World, bytes]) -> None:
    world, run = played
    found = words(world, entry("_runs", run), STRUCTS["_runs"])
    record = world.view("runs", run)
    progress = unpacked(found["progress"], PACKED["_runs.progress"])
    assert progress == {name: record[name] for name in PACKED["_runs.progress"]}
    assert progress["state"] == RunState.CLOSING
    assert unpacked(found["privacy"], PACKED["_runs.privacy"]) == {"budget": 50, "spent": 7}
    assert unpacked(found["money"], PACKED["_runs.money"]) == {"escrow": ESCROW - 120, "allocated": 120}
    for name in ("coordinator", "sponsor", "token", "terms"):
        assert found[name] == number(record[name])
    assert (found["closingDelay"], found["claimed"]) == (DELAY, 100)


def test_a_round_lies_where_the_layout_says(played: tuple[World, bytes]) -> None:
    world, run = played
    found = words(world, entry("_rounds", run, 1), STRUCTS["_rounds"])
    record = world.view("round", run, 1)
    progress = unpacked(found.pop("progress"), PACKED["_rounds.progress"])
    assert progress == {name: record[name] for name in PACKED["_rounds.progress"]}
    assert progress == {"state": RoundState.FINALISED, "count": 4, "includedCount": 3, "cost": 7}
    assert found == {name: number(record[name]) for name in found}
    assert all(found.values())


def test_a_model_lies_where_the_layout_says(played: tuple[World, bytes]) -> None:
    world, run = played
    model = model_id(run, 1, word("artifact 1"))
    record = world.view("models", model)
    found = words(world, entry("_models", model), STRUCTS["_models"])
    assert found == {
        "run": number(run),
        "round": 1,
        **{name: number(record[name]) for name in ("artifact", "metrics", "aggregateKey")},
    }
    assert all(found.values())


def test_members_keys_consents_and_budgets_lie_where_the_layout_says(played: tuple[World, bytes]) -> None:
    world, run = played
    ada, ben = account("ada"), account("ben")
    assert words(world, entry("member", ben), STRUCTS["member"]) == {
        **world.view("member", ben),
        "roles": int(Role.HOLDER),
        "epoch": 1,
    }
    keys = world.view("keys", ben)
    assert words(world, entry("keysAt", ben, 1), STRUCTS["keysAt"]) == {
        "signer": number(account("ben/1")),
        "encryption": number(keys["encryption"]),
        "block": keys["block"],
    }
    assert read(world, entry("signerOf", account("ben/1"))) == number(ben)
    assert read(world, entry("consent", run, ben)) == number(word("terms"))
    assert read(world, entry("consent", run, ada)) == 0
    assert read(world, entry("claimedOf", run, ada)) == 100
    assert words(world, entry("budgetOf", ada, dataset_of("ada")), STRUCTS["budgetOf"]) == {
        "granted": 10_000,
        "reserved": 0,
        "spent": 7,
    }
    assert words(world, entry("pledgeOf", run, ben), STRUCTS["pledgeOf"]) == {
        "dataset": number(dataset_of("ben")),
        "since": 0,
    }


def test_governance_lies_where_the_layout_says(played: tuple[World, bytes]) -> None:
    world, _ = played
    proposal = world.view("proposalId", 1, account("eve"), int(Role.HOLDER), bytes(32))
    assert read(world, entry("votes", proposal)) == 1
    assert read(world, entry("voted", proposal, account("dan"))) == 1
    assert read(world, entry("voted", proposal, account("ada"))) == 0
    assert (read(world, entry("threshold")), read(world, entry("memberCount"))) == (2, 7)
    assert (read(world, entry("paused")), read(world, entry("era"))) == (0, 0)
