"""Families of processes: who descends from whom, and how to end all of them.

On Linux the process table is read from ``/proc``, and a process can adopt what loses its parent below it. Elsewhere
:func:`descendants` finds nothing, and callers fall back to process groups. Only the standard library is used.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_ENDED = "ZX"
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36


def prctl(option: int, value: int) -> bool:
    """Call Linux's ``prctl(option, value)``; return whether it exists and worked."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return int(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)) == 0
    except (AttributeError, OSError):
        return False


def adopt_orphans() -> bool:
    """Become the parent of whatever loses its parent below this process; return whether the system can do that."""
    return prctl(PR_SET_CHILD_SUBREAPER, 1)


def write_no_core() -> None:
    """Have the memory of this process, and of whatever it starts, never be written to a file when one of them crashes.

    The limit is inherited, and nothing below can raise it again but root. A system that pipes core dumps into a program
    (``|`` in ``/proc/sys/kernel/core_pattern``) passes that limit by: there this process is left out by the kernel, and
    what it starts is not.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl(PR_SET_DUMPABLE, 0)


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
