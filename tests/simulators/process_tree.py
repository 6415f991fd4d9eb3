"""Trees of real processes for tests of the supervisor, and what the process table says about them.

A tree is marked by an environment variable, so that its processes are found however they were re-parented.
"""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.simulators.patience import patient

MARK = "SUTURE_TEST_TREE"

SCATTERED = textwrap.dedent(
    """
    import os, signal, time
    if os.fork() == 0:              # a child in a session of its own ...
        os.setsid()
        if os.fork() == 0:          # ... whose child loses its parent at once
            time.sleep(600)
        os._exit(0)
    os.wait()
    time.sleep(600)
    """
)
"""A program that leaves a process in another session, without a parent."""

STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SCATTERED
"""The same, and both ignore SIGTERM."""


def command(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def marked(mark: str) -> set[int]:
    """Return the processes with ``mark`` in their environment that have not ended."""
    wanted = f"{MARK}={mark}".encode()
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                    if state not in "ZX":
                        found.add(int(folder.name))
            except OSError:
                continue
    return found


def processes_of(*words: str) -> set[int]:
    """Return the processes whose command line holds all ``words``."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if all(word in line for word in words):
                    found.add(int(folder.name))
    return found


def becomes(fact: Callable[[], object], seconds: float) -> bool:
    """Return whether ``fact`` becomes true within ``seconds``, a bound that ``--patience`` multiplies."""
    end = time.monotonic() + patient(seconds)
    while not fact():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def end_marked(mark: str) -> None:
    """Kill what a failed test left behind."""
    for process in marked(mark):
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(process, signal.SIGKILL)
