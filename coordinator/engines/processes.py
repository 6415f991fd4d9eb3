"""Families of processes: who descends from whom, and how to end all of them.

On Linux the process table is read from ``/proc``. Elsewhere :func:`descendants` finds nothing, and callers fall back to
process groups.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_ENDED = "ZX"


def table() -> dict[int, tuple[str, int]]:
    """Return ``{process: (state, its parent)}``, or nothing where there is no ``/proc``.

    The state is the kernel's letter; ``Z`` has ended and waits to be collected by its parent.
    """
    found = {}
    with suppress(OSError):
        for folder in _PROC.iterdir():
            if folder.name.isdigit():
                with suppress(OSError):
                    # "1234 (name, may hold anything) S 1 ..."
                    state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                    found[int(folder.name)] = (state, int(parent))
    return found


def descendants(roots: Iterable[int]) -> set[int]:
    """Return all processes below ``roots`` that have not ended, without ``roots`` themselves."""
    children: dict[int, list[int]] = {}
    for child, (state, parent) in table().items():
        if state not in _ENDED:
            children.setdefault(parent, []).append(child)
    found: set[int] = set()
    queue = list(roots)
    while queue:
        fresh = [child for child in children.get(queue.pop(), []) if child not in found]
        found.update(fresh)
        queue.extend(fresh)
    return found


def ended_children(parent: int) -> set[int]:
    """Return the direct children of ``parent`` that have ended and wait to be collected."""
    return {child for child, (state, its_parent) in table().items() if state == "Z" and its_parent == parent}


def send(processes: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process that still exists and is ours."""
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def send_to_groups(leaders: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process group that still exists and is ours."""
    for leader in leaders:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)


def kill_family(roots: Iterable[int]) -> None:
    """Kill ``roots`` and everything below them, leaving them no time to start anything new.

    Each process is stopped when it is found, and the table read again until nothing new turns up; only then are all
    killed. ``roots`` must lead process groups of their own, which are killed too.
    """
    leaders = list(roots)
    stopped: set[int] = set()
    while fresh := ({*leaders} | descendants([*leaders, *stopped])) - stopped:
        send(fresh, signal.SIGSTOP)
        stopped |= fresh
    send(stopped, signal.SIGKILL)
    send_to_groups(leaders, signal.SIGKILL)
