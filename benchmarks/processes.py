"""Times whole commands, each in a fresh process, as a person waits for them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import BenchmarkError

TIMEOUT_S = 1800.0
LAST = 500
"""Characters of an error's end that are repeated."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A command that has succeeded.

    Attributes:
        seconds: From its start to its end.
        output: What it wrote to its standard output.
    """

    seconds: float
    output: str


def script(name: str) -> list[str]:
    """Return the command line of an installed command.

    Raises:
        BenchmarkError: It is not installed beside this Python.
    """
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise BenchmarkError(f"there is no {path}.", fix="Install the project: pip install -e .")
    return [str(path)]


def module(name: str) -> list[str]:
    """Return the command line of a module."""
    return [sys.executable, "-m", name]


def timed(command: Sequence[str | Path], changes: Mapping[str, str] | None = None) -> Timed:
    """Run a command to its end and time it.

    Args:
        command: Its words.
        changes: What is different in its environment.

    Raises:
        BenchmarkError: It failed, or did not end in time.
    """
    environment = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    environment.update(changes or {})
    started = time.perf_counter()
    try:
        done = subprocess.run(
            list(command), capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchmarkError(f"{command[0]} did not end within {TIMEOUT_S:.0f} seconds.") from error
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise BenchmarkError(
            f"{' '.join(map(str, command))} ended with {done.returncode}: {(done.stderr or done.stdout)[-LAST:]}"
        )
    return Timed(seconds, done.stdout)
