"""What every transaction costs, as a file that is reviewed: ``python -m tests.contracts.gas_snapshot`` writes it.

Measured on py-evm at the Prague rules, every call in a block of its own. Set sizes are real numbers in the commitments;
the count of consents is written into storage for the large ones, since the contract compares with it.
"""

from __future__ import annotations

import json
from pathlib import Path

from eth_utils.crypto import keccak

from ledger.artifacts import load
from ledger.records import EMPTY_WORD, Act, Role
from ledger.typed_data import model_id
from tests.contracts.engines import PyEvm
from tests.contracts.harness import account, word
from tests.contracts.world import World, rewards_of

PATH = Path(__file__).parent.parent / "vectors" / "ledger" / "gas.json"
SIZES = (4, 10, 100, 1_000, 10_000)
ROUND = ("openRound", "commitRound", "commitIncluded", "finaliseRound")
_ACCEPTED_BITS = 136
"""Where ``accepted`` lies in a run's first word (see ``_packRun`` in the contract)."""


def plant_consents(world: World, run: bytes, count: int) -> None:
    """Make the ledger believe that ``count`` holders consent, by writing the word that counts them."""
    assert isinstance(world.engine, PyEvm)
    slot = load("TrainingLedger").storage_layout["_runs"]
    position = int.from_bytes(keccak(slot.to_bytes(32, "big") + run), "big")
    packed = world.engine.storage(world.ledger.address, position)
    packed &= ~((2**32 - 1) << _ACCEPTED_BITS)
    world.engine.store(world.ledger.address, position, packed | count << _ACCEPTED_BITS)


def rounds(size: int) -> tuple[dict[str, int], dict[str, int]]:
    """Play three paid rounds with U of ``size`` in V of ``size + 1``; return the gas of the first and of the third."""
    world = World(PyEvm())
    run = world.ready_run()
    plant_consents(world, run, size + 1)
    parent = model_id(run, 0, word("root"))
    costs = []
    for n in (1, 2, 3):
        artifact = word(f"artifact {n} of {size}")
        arguments = {
            "openRound": (parent, word(f"header {n}"), 5),
            "commitRound": (word(f"V {n} of {size}"), size + 1),
            "commitIncluded": (word(f"U {n} of {size}"), size, word("exclusions")),
            "finaliseRound": (artifact, word("key"), word("metrics"), word(f"rewards {n} of {size}"), 1_000),
        }
        cost = {}
        for function in ROUND:
            world.call("kim", function, run, n, *arguments[function])
            cost[function] = world.ledger.last.gas_used
        costs.append(cost)
        parent = model_id(run, n, artifact)
    return costs[0], costs[2]


def others() -> dict[str, int]:
    """Return the gas of what happens once, or once per member."""
    costs = {}
    world = World(PyEvm())

    def note(name: str) -> None:
        costs[name] = world.ledger.last.gas_used

    note("deploy TrainingLedger, 7 founders")
    costs["deploy RewardToken"] = world.token.last.gas_used
    world.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER, voters=("ada",))
    note("vote, first")
    world.vote(Act.ADMIT, subject=account("eve"), roles=Role.HOLDER, voters=("ben",))
    note("vote, admits")
    world.set_keys("ada")
    note("setKeys")
    run = world.create_run()
    note("createRun with escrow")
    world.grant("ada")
    note("grantBudget")
    world.accept("ada", run)
    for name in ("ben", "cleo", "dan"):
        world.set_keys(name)
        world.grant(name)
        world.accept(name, run)
    note("accept")
    world.call("kim", "registerRoot", run, word("root"), EMPTY_WORD)
    note("registerRoot")
    world.play(run, 1, "included")
    sums = {name: 100 for name in ("ada", "ben", "cleo")}
    world.finalise(run, 1, rewards=sums, reward=300)
    world.claim(run, 1, "ada", 100, rewards_of(run, sums))
    note("claim, first of an account, tree of 3")
    world.call("dan", "withdraw", run)
    note("withdraw")
    world.call("kim", "closeRun", run)
    note("closeRun, first call")
    world.call("anyone", "settle", run, account("ada"))
    note("settle")
    world.call("odo", "pause")
    note("pause")
    return costs


def measure() -> dict[str, object]:
    """Return the whole snapshot."""
    figures = {size: rounds(size) for size in SIZES}
    return {
        "first round of a run": {str(size): first for size, (first, _) in figures.items()},
        "later rounds": {str(size): later for size, (_, later) in figures.items()},
        "later rounds, in all": {str(size): sum(later.values()) for size, (_, later) in figures.items()},
        "other transactions": others(),
    }


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(json.dumps(measure(), indent=1) + "\n", "utf-8")
    print(PATH.read_text("utf-8"))
