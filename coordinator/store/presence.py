"""Whether a coordinator's program works on a run: it holds a lock as long as it lives, however it ends.

One program at a time works on a run: a second one waits for a moment, since the first may be about to end, and then ends itself. Flower starts a second one
where it gave the first up, which was frozen for a minute, or where a SuperLink without a database was started anew.

Flower finds out only after a minute that a ServerApp is dead, and says until then that its run is under way. A ServerApp whose SuperExec
died ends, too, and may take some seconds over it on a busy machine; it works on nothing any more, and its lock ends with its parent.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.errors import RunStateError

FILE = "at-work.lock"
LOOK_S = 0.1
"""Seconds between two looks whether the parent lives, or the other program."""
PATIENCE_S = 30.0
"""Seconds for which another program is waited for."""


@contextmanager
def at_work(private: Path, *, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Be seen at work while the block runs and this process has the parent that it has now.

    Args:
        private: The coordinator's private folder of the run.
        patience_s: How long another program is waited for, in seconds.

    Raises:
        RunStateError: Another one works on the run.
    """
    with (private / FILE).open("ab") as file:
        if not take(file.fileno(), patience_s):
            raise RunStateError(
                "Another program works on this run.", fix="Wait for its end, or end it; then resume the run."
            )
        done, parent = threading.Event(), os.getppid()
        watch = threading.Thread(target=_leave_after, args=(parent, file.fileno(), done), daemon=True)
        watch.start()
        try:
            yield
        finally:
            done.set()
            watch.join()  # before the number of the file is another file's


def take(file: int, patience_s: float) -> bool:
    """Lock an open file until it is closed; return whether others left it within ``patience_s`` seconds. One look is made at least."""
    end = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        else:
            return True
        time.sleep(LOOK_S)


def _leave_after(parent: int, file: int, done: threading.Event) -> None:
    while not done.wait(LOOK_S):
        if os.getppid() != parent:
            fcntl.flock(file, fcntl.LOCK_UN)
            return


def somebody_at_work(private: Path) -> bool:
    """Return whether a program works on the run now."""
    return taken(private / FILE)


def taken(lock: Path) -> bool:
    """Return whether somebody has locked a file. Those who look do not see each other; who takes it meanwhile has to look twice."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
