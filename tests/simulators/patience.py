"""How long tests wait for real processes: generous upper bounds, all of them multiplied by ``pytest --patience N``.

A bound that is never reached costs nothing, and one that a loaded machine passes is nobody's mistake. What a story waits out on
purpose, a chain that is away or a deadline of the run, is no bound: it stays as it is.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

STOP_S = 60.0
"""For the end of a service that was told to end: what a container's engine gives it."""
TAIL = 4000  # characters of a log in an error

VARIABLE = "PYTEST_PATIENCE"
"""In the environment, so that simulators in processes of their own know it too."""


def set_patience(factor: float) -> None:
    """Multiply every bound from now on."""
    os.environ[VARIABLE] = str(factor)


def patient(seconds: float) -> float:
    """Return a bound, multiplied."""
    return seconds * float(os.environ.get(VARIABLE, "1"))


def exits_of(
    processes: Mapping[str, subprocess.Popen[Any]], log: Callable[[str], str], seconds: float = STOP_S
) -> dict[str, int]:
    """Wait until all processes have ended; return their exit statuses by name.

    Args:
        processes: By name.
        log: Returns what the process of that name wrote.
        seconds: For all of them together.

    Raises:
        AssertionError: Some did not end. The text has their names, the ends of their logs, and how the others ended.
    """
    end, exits, late = time.monotonic() + patient(seconds), {}, []
    for name, process in processes.items():
        try:
            exits[name] = process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            late.append(name)
    tails = "".join(f"\n--- the end of the log of {name}\n{log(name)[-TAIL:]}" for name in late)
    assert not late, f"not ended within {patient(seconds):.0f} s: {', '.join(late)}; ended: {exits}{tails}"
    return exits


def exit_of(process: subprocess.Popen[Any], log: Callable[[], str], seconds: float = STOP_S) -> int:
    """Wait until one process has ended; see :func:`exits_of`."""
    return exits_of({str(process.args): process}, lambda _: log(), seconds)[str(process.args)]


def output_of(process: subprocess.Popen[str], seconds: float) -> tuple[str, str]:
    """Wait for a command and return both outputs.

    Raises:
        AssertionError: It did not end, and was killed. The text has the ends of its outputs.
    """
    said = ""
    try:
        return process.communicate(timeout=patient(seconds))
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # somebody else holds its pipes
            said = "".join(f"\n---\n{(text or '')[-TAIL:]}" for text in process.communicate(timeout=STOP_S))
        raise AssertionError(f"{process.args} did not end within {patient(seconds):.0f} s{said}") from None


@contextmanager
def ending(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill a command if the story about it fails: it could wait for what never comes, and the test for it."""
    with process:
        try:
            yield
        except BaseException:
            process.kill()
            raise
