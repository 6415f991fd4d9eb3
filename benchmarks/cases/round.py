"""What a protected and anchored round costs beside a plaintext Flower round: real processes, 11 million parameters, 4 nodes.

* ``round_wall_ratio_plain``: median wall time of a round with protection, gateways, relay and ledger, over that of a round of
  Flower's own federated averaging with the same model and training, on the same kind of deployment
  (:mod:`benchmarks.deployed_rounds`). The two take turns (:data:`TURNS`); starting up is in neither. Local training is
  :data:`UPDATES` steps of 32 examples: the four hospitals share this machine's cores, so a round of training lasts longer here than
  on four machines, as it does for the peer. How much of the ratio training hides is in the detail: the seconds on top, and the
  ratio of rounds that make one step.
* ``coordinator_memory_ratio_16_4``: peak of the whole ServerApp in a run with 16 nodes, over that with 4
  (:mod:`benchmarks.serverapp_memory`).
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measurement import Case, Measurement
from benchmarks.processes import module, timed

PARAMETERS = 11_000_000
NODES = 4
ROUNDS = 3  # of which the first is not counted
UPDATES = 200
ONE = 1  # as good as no training; a task refuses none at all
RATIO_GOAL, MEMORY_GOAL = 1.15, 1.1
FEW, MANY = 4, 16
TURNS = (
    ("protected", UPDATES),
    ("plain", UPDATES),
    ("plain", UPDATES),
    ("protected", UPDATES),
    ("protected", ONE),
    ("plain", ONE),
)
"""Which kind runs when, with how much training: what drifts on the machine meets both kinds alike."""
IDS = ("round_wall_ratio_plain", "coordinator_memory_ratio_16_4")


def run() -> Sequence[Measurement]:
    """Make one repeat; takes 25 minutes on two quiet cores."""
    with tempfile.TemporaryDirectory(prefix="suture-bench-") as name:
        found = [_rounds(Path(name) / str(n), updates, kind) for n, (kind, updates) in enumerate(TURNS)]
        many = _rounds(Path(name) / "many", ONE, "ungated", MANY)
    return [_wall(found), _memory(found, many)]


def _wall(found: Sequence[dict[str, Any]]) -> Measurement:
    def median(kind: str, updates: int) -> float:
        walls = [
            float(one["wall_s"])
            for turn, made in zip(TURNS, found, strict=True)
            for one in made["rounds"]
            if turn == (kind, updates)
        ]
        return statistics.median(walls)

    ours, peer = median("protected", UPDATES), median("plain", UPDATES)
    bare, bare_peer = median("protected", ONE), median("plain", ONE)
    return Measurement(
        id="round_wall_ratio_plain",
        value=ours / peer,
        unit="x",
        goal=RATIO_GOAL,
        peers={
            "the same with one step of training": bare / bare_peer,
        },
        detail={
            "nodes": NODES,
            "updates": UPDATES,
            "rounds_timed": (ROUNDS - 1) * TURNS.count(("protected", UPDATES)),
            "wall_s": {"protected": ours, "plain": peer},
            "overhead_s": ours - peer,
            "wall_of_one_step_s": {"protected": bare, "plain": bare_peer},
            "overhead_of_one_step_s": bare - bare_peer,
            "turns": [
                {
                    "kind": kind,
                    "updates": updates,
                    "walls_s": [one["wall_s"] for one in made["rounds"]],
                    "cpu_of_the_whole_run_s": made["cpu_s"],
                }
                for (kind, updates), made in zip(TURNS, found, strict=True)
            ],
            "protected_rounds": found[0]["rounds"],
        },
    )


def _rounds(folder: Path, updates: int, kind: str, nodes: int = NODES) -> dict[str, Any]:
    command = [*module("benchmarks.deployed_rounds"), str(folder), str(ROUNDS), str(updates), kind]
    output = timed([*command, str(nodes)]).output
    found: dict[str, Any] = json.loads(output.splitlines()[-1])  # libraries may print before
    walls = " ".join(f"{one['wall_s']:.1f}" for one in found["rounds"])
    print(f"{kind}, {nodes} nodes, {updates} updates: {walls} s a round", file=sys.stderr)
    return found


def _memory(found: Sequence[dict[str, Any]], many: dict[str, Any]) -> Measurement:
    few = found[TURNS.index(("protected", ONE))]
    plain = found[TURNS.index(("plain", ONE))]
    return Measurement(
        id="coordinator_memory_ratio_16_4",
        value=many["serverapp_peak_bytes"] / few["serverapp_peak_bytes"],
        unit="x",
        goal=MEMORY_GOAL,
        detail={
            "parameters": PARAMETERS,
            "peak_bytes": {str(FEW): few["serverapp_peak_bytes"], str(MANY): many["serverapp_peak_bytes"]},
            "peak_of_flowers_own_bytes": {str(FEW): plain["serverapp_peak_bytes"]},
        },
    )


CASE = Case(
    name="round",
    measures="a protected round beside Flower's plaintext round: real processes, 11 million parameters, 4 nodes",
    ids=IDS,
    run=run,
)
