"""What ``suture demo`` costs: the whole command, one round, the audit, the disk.

* ``demo_wall_s``: ``suture demo`` with its defaults as a process of its own, audit included.
* ``round_overhead_s``: the median round of a run with protection and ledger, minus that of one without (``--plain``).
* ``audit_s``: ``suture-audit verify`` on the folder that was kept, as a process of its own.
* ``demo_folder_bytes``: that folder's size.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measurement import Case, Measurement
from benchmarks.processes import Timed, module, script, timed

SEED = 42
ROUNDS = 15  # the demo's default, stated so that it cannot change unnoticed
WALL_GOAL_S = 30.0
ROUND_GOAL_S = 0.5
PARTS = ("holder_protection_ms", "coordinator_protection_ms", "ledger_ms", "archive_ms")
"""Milliseconds of a round that protection and ledger need; holders work side by side, the slowest one counts."""

IDS = ("demo_wall_s", "round_overhead_s", "audit_s", "demo_folder_bytes")


def run() -> Sequence[Measurement]:
    """Make one repeat; takes about a minute."""
    with tempfile.TemporaryDirectory(prefix="suture-bench-") as name:
        folder = Path(name)
        return [*_whole(folder), *_rounds(folder), *_kept(folder)]


def _demo(folder: Path, *options: str) -> Timed:
    command = [*script("suture"), "demo", "--rounds", str(ROUNDS), "--seed", str(SEED), "--json"]
    return timed([*command, "--keep", folder, *options])


def _whole(folder: Path) -> Sequence[Measurement]:
    protected, plain = _demo(folder / "kept"), _demo(folder / "plain", "--plain")
    said = json.loads(protected.output)
    detail = {
        "rounds": ROUNDS,
        "seed": SEED,
        "inside_s": said["seconds"],
        "accuracy": said["accuracy"]["federated"],
        "audit_passed": said["audit"]["passed"],
    }
    peers = {"without protection and ledger": plain.seconds}
    return [
        Measurement(
            id="demo_wall_s",
            value=protected.seconds,
            unit="s",
            goal=WALL_GOAL_S,
            peers=peers,
            detail=detail,
        )
    ]


def _rounds(folder: Path) -> Sequence[Measurement]:
    times = {kind: _round_times(folder / f"rounds-{kind}", kind) for kind in ("protected", "plain")}
    walls = {kind: statistics.median(entry["wall_s"] for entry in rounds) for kind, rounds in times.items()}
    parts = {part: round(statistics.median(entry[part] for entry in times["protected"]), 1) for part in PARTS}
    training = {
        kind: statistics.median(entry["train_ms"] for entry in rounds) for kind, rounds in times.items()
    }
    overhead = walls["protected"] - walls["plain"]
    detail = {
        "rounds_timed": len(times["protected"]),
        "seed": SEED,
        "wall_s": walls,
        "train_ms": training,
        "parts_ms": parts,
        "rest_ms": round(1000 * overhead - sum(parts.values()), 1),
    }
    return [
        Measurement(
            id="round_overhead_s",
            value=overhead,
            unit="s",
            goal=ROUND_GOAL_S,
            peers={"round without protection and ledger": walls["plain"]},
            detail=detail,
        )
    ]


def _round_times(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Return the closing events of the rounds that are counted, with ``wall_s``."""
    arguments = [str(folder), str(ROUNDS), str(SEED), kind]
    rounds: list[dict[str, Any]] = json.loads(timed([*module("benchmarks.round_times"), *arguments]).output)
    return rounds


def _kept(folder: Path) -> Sequence[Measurement]:
    """Audit and measure what the first demo left."""
    kept = folder / "kept"
    audit = timed([*script("suture-audit"), "verify", kept, "--json"])
    start = timed([*script("suture-audit"), "checks", "--json"])
    parts = {part: _bytes(kept / part) for part in ("public", "nodes", "coordinator")}
    return [
        Measurement(
            id="audit_s",
            value=audit.seconds,
            unit="s",
            peers={"the same command without any check": start.seconds},
            detail={"rounds": ROUNDS},
        ),
        Measurement(
            id="demo_folder_bytes",
            value=_bytes(kept),
            unit="bytes",
            peers={"folder without protection and ledger": _bytes(folder / "plain")},
            detail={"rounds": ROUNDS, "parts_bytes": parts},
        ),
    ]


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


CASE = Case(
    name="demo",
    measures="the command `suture demo`: whole, one round, its audit, its folder",
    ids=IDS,
    run=run,
)
