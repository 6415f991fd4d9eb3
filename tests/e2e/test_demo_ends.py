"""However ``suture demo`` ends, no process of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Commands, finished
from tests.simulators.process_tree import becomes, marked

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

START_S = 120.0
GONE_S = 15.0


def opened(folder: Path, number: int) -> bool:
    """Whether a round was opened."""
    events = folder / "coordinator" / "events.jsonl"
    return events.exists() and f'"round-opened", "round": {number},' in events.read_text()


def started(commands: Commands, *arguments: str | Path) -> subprocess.Popen[str]:
    return commands.start("suture", "demo", *arguments)


def test_ctrl_c_in_the_middle_of_a_local_run_exits_with_130_and_one_word(commands: Commands) -> None:
    folder = commands.temporary / "run"
    process = started(commands, "--rounds", "1000", "--keep", folder)
    assert becomes(lambda: opened(folder, 2), START_S)
    process.send_signal(signal.SIGINT)
    result = finished(process)
    assert (result.returncode, result.stderr) == (130, "interrupted\n")
    assert becomes(lambda: not marked(commands.mark), GONE_S), marked(commands.mark)
    assert not list(folder.rglob("*.lock")), "the ledger was let go of"


def test_ctrl_c_while_real_processes_run_leaves_none(commands: Commands) -> None:
    folder = commands.temporary / "run"
    process = started(commands, "--engine", "deployment", "--keep", folder)
    assert becomes(lambda: opened(folder, 1), START_S)
    assert len(marked(commands.mark)) > 10
    process.send_signal(signal.SIGINT)
    result = finished(process)
    assert (result.returncode, result.stderr) == (130, "interrupted\n")
    assert becomes(lambda: not marked(commands.mark), GONE_S), marked(commands.mark)


def test_a_kill_while_real_processes_run_leaves_none(commands: Commands) -> None:
    folder = commands.temporary / "run"
    process = started(commands, "--engine", "deployment", "--keep", folder)
    assert becomes(lambda: opened(folder, 1), START_S)
    assert len(marked(commands.mark)) > 10
    process.kill()
    killed = time.monotonic()
    assert finished(process).returncode == -signal.SIGKILL
    assert becomes(lambda: not marked(commands.mark), GONE_S), marked(commands.mark)
    assert time.monotonic() - killed < GONE_S + 1
