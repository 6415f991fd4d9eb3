"""However ``suture demo`` ends, no process of it is left."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator.store import presence
from coordinator.store.events import EventTail
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
    events = EventTail(folder / "coordinator" / "events.jsonl").new()
    return any(event["event"] == "round-opened" and event["round"] == number for event in events)


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def started(commands: Commands, *arguments: str | Path) -> subprocess.Popen[str]:
    return commands.start("suture", "demo", *arguments)


SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


@SIGNALS
def test_a_signal_in_the_middle_of_a_local_run_ends_it_with_one_word(
    commands: Commands, number: signal.Signals
) -> None:
    folder = commands.temporary / "run"
    process = started(commands, "--rounds", "1000", "--keep", folder)
    assert becomes(lambda: opened(folder, 2), START_S)
    process.send_signal(number)
    result = finished(process)
    assert (result.returncode, result.stderr) == (128 + number, "interrupted\n")
    assert becomes(lambda: not marked(commands.mark), GONE_S), marked(commands.mark)
    locks = [path for path in folder.rglob("*.lock") if path != folder / "coordinator" / presence.FILE]
    assert locks == [], "the ledger was let go of"
    assert not presence.somebody_at_work(folder / "coordinator"), "and so was the run"


@SIGNALS
def test_a_signal_while_real_processes_run_leaves_none(commands: Commands, number: signal.Signals) -> None:
    folder = commands.temporary / "run"
    process = started(commands, "--engine", "deployment", "--keep", folder)
    assert becomes(lambda: opened(folder, 1), START_S)
    assert len(marked(commands.mark)) > 10
    process.send_signal(number)
    result = finished(process)
    assert (result.returncode, result.stderr) == (128 + number, "interrupted\n")
    assert not marked(commands.mark), "the command ends after its processes"
    assert listing(commands.temporary) == ["run"], "the folder of the sockets is gone"


def test_an_interrupted_run_leaves_no_temporary_folder_with_keys(commands: Commands) -> None:
    process = started(commands, "--rounds", "1000")
    assert becomes(lambda: any(opened(folder, 1) for folder in commands.temporary.glob("suture-*")), START_S)
    process.send_signal(signal.SIGTERM)
    assert finished(process).returncode == 143
    assert listing(commands.temporary) == []


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
