"""Whether a coordinator's program works on a run: it holds a lock as long as it lives, however it ends.

Flower finds out only after a minute that a ServerApp is dead, and says until then that its run is under way. A ServerApp whose SuperExec
died ends, too, and may take some seconds over it on a busy machine; it works on nothing any more, and its lock ends with its parent.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE = "at-work.lock"
LOOK_S = 0.1
"""Seconds between two looks whether the parent lives."""


@contextmanager
def at_work(private: Path) -> Iterator[None]:
    """Be seen at work while the block runs and this process has the parent that it has now.

    Args:
        private: The coordinator's private folder of the run.
    """
    with (private / FILE).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # who may write is decided by the chain's own lock
        done, parent = threading.Event(), os.getppid()
        watch = threading.Thread(target=_leave_after, args=(parent, file.fileno(), done), daemon=True)
        watch.start()
        try:
            yield
        finally:
            done.set()
            watch.join()  # before the number of the file is another file's


def _leave_after(parent: int, file: int, done: threading.Event) -> None:
    while not done.wait(LOOK_S):
        if os.getppid() != parent:
            fcntl.flock(file, fcntl.LOCK_UN)
            return


def somebody_at_work(private: Path) -> bool:
    """Return whether a program works on the run now."""
    try:
        with (private / FILE).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
