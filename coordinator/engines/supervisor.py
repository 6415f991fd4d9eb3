"""The process that owns every process of a deployment, so that none can outlive it: ``python -m`` this module.

Its parent speaks to it through a pipe. When the pipe closes, which the kernel sees to even if the parent is killed with
``kill -9``, the supervisor ends everything below itself and then itself.

- On Linux it is a *subreaper*: a process whose own parent ends becomes its child, whatever sessions were opened in
  between. So "everything below itself" is everything that was ever started.
- Its direct children are killed by the kernel should the supervisor itself be killed.
- Where ``prctl`` does not exist, each child leads a process group, and the groups are ended.
- It has a session of its own: a Ctrl-C in the terminal reaches the parent only, which then closes the pipe.

Requests and answers are JSON, one per line: ``{"op": "start", "name": ..., "command": [...], "environment": {...},
"folder": ..., "log": ...}``, ``{"op": "status"}``, ``{"op": "kill", "names": [...]}``, each with an ``"id"`` that
its answer repeats. An answer is an object; it has ``"error"`` if the request failed. :mod:`~coordinator.engines.supervised` is the other end.

Only the standard library is used, so that it starts in a few dozen milliseconds.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from suture_fl.processes import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_PDEATHSIG,
    descendants,
    ended_children,
    kill_family,
    prctl,
    send,
    send_to_groups,
)

GRACE_S = 3.0
"""Seconds between asking processes to end and killing them."""

KILL_S = 10.0
"""Seconds to wait for killed processes; a process that hangs in the kernel is then left to it."""

TICK_S = 0.5
"""Seconds between two looks at whether the parent still exists, should the pipe not say so."""


class _Stopped(Exception):
    """The parent is gone, or a signal asked the supervisor to end."""


def _die_with_parent() -> None:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Supervisor:
    """The children by name, and what can be asked about them."""

    def __init__(self) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self.child_ended = False

    def start(self, name: str, command: list[str], environment: dict[str, str], folder: str, log: str) -> int:
        """Start a child whose output goes to the file ``log`` (anew), and return its process number.

        Raises:
            OSError: It cannot be started.
            ValueError: A child of this name still runs.
        """
        if (old := self._children.get(name)) is not None and old.poll() is None:
            raise ValueError(f"{name} already runs")
        with Path(log).open("wb") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=folder,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        self._children[name] = child
        return child.pid

    def status(self) -> dict[str, int | None]:
        """Return the exit status of each child by name; ``None`` while it runs."""
        return {name: child.poll() for name, child in self._children.items()}

    def kill(self, names: list[str]) -> None:
        """Kill the named children and everything below them, at once."""
        running = [child for name, child in self._children.items() if name in names and child.poll() is None]
        kill_family(child.pid for child in running)
        for child in running:
            child.wait(KILL_S)

    def reap(self) -> None:
        """Collect ended children, adopted ones included, so that no dead entry is left in the process table."""
        known = {child.pid for child in self._children.values() if child.poll() is None}
        for process in ended_children(os.getpid()) - known:
            with suppress(ChildProcessError):
                os.waitpid(process, os.WNOHANG)

    def end_all(self) -> None:
        """Ask everything below to end, then kill what is left, and wait until nothing is."""
        leaders = [child.pid for child in self._children.values() if child.poll() is None]
        self._signal(leaders, signal.SIGTERM)
        self._signal(leaders, signal.SIGCONT)
        if self._gone_within(leaders, GRACE_S):
            return
        end = time.monotonic() + KILL_S
        while time.monotonic() < end:
            self._signal(leaders, signal.SIGKILL)
            if self._gone_within(leaders, TICK_S):
                return

    def _signal(self, leaders: list[int], number: signal.Signals) -> None:
        send_to_groups(leaders, number)
        send(descendants([os.getpid()]), number)

    def _gone_within(self, leaders: list[int], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while True:
            self.reap()
            running = any(child.poll() is None for child in self._children.values())
            if not running and not descendants([os.getpid()]):
                return True
            if time.monotonic() >= end:
                return False
            time.sleep(0.02)

    def answer(self, line: bytes) -> dict[str, object]:
        """Carry out one request and return the answer."""
        request = json.loads(line)
        answer: dict[str, object] = {"id": request.pop("id")}
        try:
            match request.pop("op"):
                case "start":
                    answer["pid"] = self.start(**request)
                case "status":
                    answer["status"] = self.status()
                case "kill":
                    self.kill(request["names"])
                case other:
                    answer["error"] = f"unknown request {other!r}"
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            answer["error"] = str(error)
        return answer


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stopped


def serve(supervisor: Supervisor, requests: int, answers: int) -> None:
    """Answer requests until the pipe closes or a signal comes, then end everything below.

    Args:
        supervisor: Owns the children.
        requests: File descriptor to read requests from.
        answers: File descriptor to write answers to.
    """
    parent = os.getppid()
    buffer = b""
    try:
        while os.getppid() == parent:
            if supervisor.child_ended:
                supervisor.child_ended = False
                supervisor.reap()
            if not select.select([requests], [], [], TICK_S)[0]:
                continue
            received = os.read(requests, 1 << 16)
            if not received:
                return
            *lines, buffer = (buffer + received).split(b"\n")
            for line in lines:
                os.write(answers, json.dumps(supervisor.answer(line)).encode() + b"\n")
    except (_Stopped, BrokenPipeError):
        return
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        supervisor.end_all()


def main() -> None:
    """Run the supervisor on standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGHUP, _stop)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    supervisor = Supervisor()

    def note(_number: int, _frame: FrameType | None) -> None:
        supervisor.child_ended = True

    signal.signal(signal.SIGCHLD, note)
    serve(supervisor, sys.stdin.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    main()
