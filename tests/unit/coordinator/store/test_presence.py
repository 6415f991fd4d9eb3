"""Whether a program works on a run, and what ``suture resume`` makes of it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from coordinator.errors import RunStateError
from coordinator.launch import underway
from coordinator.store.presence import FILE, at_work, somebody_at_work
from fl_core.errors import InputError
from tests.simulators.patience import patient
from tests.simulators.process_tree import becomes

HOLDS = """
import sys, time
from pathlib import Path
from coordinator.store.presence import at_work
with at_work(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""

EXECUTOR = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
"""Starts a program, as Flower's SuperExec does, and waits."""


def test_nobody_is_at_work_on_a_run_that_was_never_started(tmp_path: Path) -> None:
    assert not somebody_at_work(tmp_path)


def test_a_program_is_seen_at_work_until_it_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert somebody_at_work(tmp_path) and somebody_at_work(tmp_path), "looking takes nothing away"
        process.send_signal(signal.SIGKILL)
        process.wait(10.0)
    assert not somebody_at_work(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes")
def test_a_program_that_outlives_its_executor_is_not_seen(tmp_path: Path) -> None:
    command = [sys.executable, "-c", EXECUTOR, HOLDS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as executor:
        assert executor.stdout is not None
        program = int(executor.stdout.readline())
        try:
            assert somebody_at_work(tmp_path)
            executor.kill()
            assert becomes(lambda: not somebody_at_work(tmp_path), 10.0)
            os.kill(program, 0)  # it has not ended
        finally:
            executor.kill()
            os.kill(program, signal.SIGKILL)


def test_a_second_program_is_refused_while_one_works_on_the_run(tmp_path: Path) -> None:
    with at_work(tmp_path):
        with (
            pytest.raises(RunStateError, match="Another program works on this run"),
            at_work(tmp_path, patience_s=0.3),
        ):
            pytest.fail("two programs work on one run")
        assert somebody_at_work(tmp_path)
    with at_work(tmp_path, patience_s=0.0):
        assert somebody_at_work(tmp_path)


def test_a_second_program_waits_for_one_that_ends(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"held\n"
        threading.Timer(0.3, program.kill).start()
        with at_work(tmp_path, patience_s=patient(10.0)):
            assert program.wait() == -signal.SIGKILL


def test_two_that_look_do_not_take_each_other_for_a_program(tmp_path: Path) -> None:
    with at_work(tmp_path):
        pass
    with (tmp_path / FILE).open("rb") as looks:
        fcntl.flock(looks, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert not somebody_at_work(tmp_path)


class Flower:
    """Says for some looks that run 7 is under way; time passes by pauses only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
        self.left, self.now = looks, 0.0
        self.said: list[str] = []
        monkeypatch.setattr(underway, "under_way", self.under_way)

    def under_way(self, state: object) -> list[int]:
        self.left -= 1
        return [7] if self.left >= 0 else []

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def asked(self, private: Path) -> list[int]:
        return underway.attended(None, private, self.said.append, clock=lambda: self.now, sleep=self.pause)  # type: ignore[arg-type]


def test_a_run_that_a_program_works_on_is_under_way_at_once(tmp_path: Path, monkeypatch) -> None:
    flower = Flower(monkeypatch, 1000)
    with at_work(tmp_path):
        assert flower.asked(tmp_path) == [7]
    assert (flower.now, flower.said) == (0.0, [])


def test_a_run_whose_program_is_dead_is_waited_for_until_flower_gives_it_up(
    tmp_path: Path, monkeypatch
) -> None:
    flower = Flower(monkeypatch, 20)
    assert flower.asked(tmp_path) == []
    assert flower.now == 60.0
    assert flower.said == [
        "No program works on Flower's run 7; waiting until one begins, or Flower gives it up."
    ]


def test_a_run_that_flower_never_gives_up_is_not_started_twice(tmp_path: Path, monkeypatch) -> None:
    flower = Flower(monkeypatch, 1000)
    assert flower.asked(tmp_path) == [7]
    assert flower.now == underway.PATIENCE_S


def test_no_second_program_is_started_beside_one_that_flower_knows_nothing_of(
    tmp_path: Path, monkeypatch
) -> None:
    flower = Flower(monkeypatch, 0)
    with at_work(tmp_path), pytest.raises(InputError, match="the SuperLink does not know of"):
        flower.asked(tmp_path)
    assert flower.now == underway.PATIENCE_S
    assert flower.said == [
        "A program works on the run that the SuperLink does not know of; waiting for its end."
    ]
    assert flower.asked(tmp_path) == []
