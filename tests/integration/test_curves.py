"""Training curves of real runs: what TensorBoard reads is what the event file says, also when a run was started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.curves.file import Curves
from coordinator.demo.local_run import run_in_process
from coordinator.demo.run import run_config
from tests.simulators.founded_run import copied, found, opened_hospitals, options
from tests.simulators.tensorboard_reader import Scalar, scalars

pytest.importorskip("tensorboard", reason="the extra 'curves' is not installed")

HIDDEN = "import sys; sys.modules['tensorboard'] = None; from coordinator.cli import main; main()"
"""A ``suture`` on a machine without TensorBoard."""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("curves") / "run", rounds=4)


def train(folder: Path, out: Path, rounds: int) -> None:
    """Run a ServerApp of its own for some rounds of a run that is there."""
    hospitals = opened_hospitals(folder)
    try:
        chosen = replace(options(folder, rounds=rounds), curves=out)
        run_in_process(hospitals, run_config(chosen, len(hospitals)), drop=0, listener=lambda event: None)
    finally:
        for hospital in hospitals:
            hospital.close()


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "coordinator" / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def close_to(points: list[Scalar], values: list[float]) -> bool:
    return [point.value for point in points] == pytest.approx(values, rel=1e-6)  # TensorBoard keeps float32


def test_a_run_that_is_started_again_has_curves_as_its_events_say(founded, tmp_path):
    folder, out = copied(founded, tmp_path / "run"), tmp_path / "curves"
    train(folder, out, rounds=2)
    train(folder, out, rounds=1)
    [(name, read)] = scalars(out).items()
    run = json.loads((folder / "public" / "run.json").read_bytes())["run"]
    assert name == f"run-{run[:16]}"
    ends = events(folder, "round-finalised")
    assert [end["round"] for end in ends] == [1, 2, 3]
    assert all([point.step for point in points] == [1, 2, 3] for points in read.values())
    counted = [end["counters"] for end in ends]
    assert close_to(read["accuracy/test"], [c["test-correct"] / c["test-total"] for c in counted])
    assert close_to(read["cost/gas"], [end["gas"] for end in ends])
    assert all(end["gas"] > 100_000 for end in ends)
    for part in ("train", "holder_protection", "coordinator_protection", "ledger", "archive"):
        assert close_to(read[f"seconds/{part}"], [end[f"{part}_ms"] / 1000 for end in ends])
    sizes = [sum(e["bytes"] for e in events(folder, "contribution") if e["round"] == n) for n in (1, 2, 3)]
    assert close_to(read["bytes/contributions"], [float(size) for size in sizes])
    assert close_to(read["round/included"], [4.0] * 3) and close_to(read["privacy/budget_spent"], [0.0] * 3)
    assert [p.wall_time for p in read["round/models"]] == [end["at"] for end in ends]
    later = Curves(folder, tmp_path / "later")
    later.update()
    [live] = out.rglob("events.out.*")
    assert later.path.read_bytes() == live.read_bytes(), "one code path, while it runs and afterwards"


def without_tensorboard(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDDEN, *arguments],
        capture_output=True, text=True, check=False, timeout=600, env={**os.environ, "SUTURE_JSON_LOGS": ""},
    )  # fmt: skip


def test_without_the_extra_the_demo_says_how_to_mend_that_before_anything_is_made(tmp_path):
    done = without_tensorboard("demo", "--keep", tmp_path / "kept", "--curves", tmp_path / "curves")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: training curves need TensorBoard")
    assert "pip install 'suture-fl[curves]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_command_says_the_same(founded, tmp_path):
    done = without_tensorboard("run", "curves", founded, "--out", tmp_path / "curves")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'suture-fl[curves]'" in done.stderr
    assert list(tmp_path.iterdir()) == []
