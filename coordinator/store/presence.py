"""Whether a coordinator's program works on a run: it holds a lock as long as it lives, however it ends.

Flower finds out only after a minute that a ServerApp is dead, and says until then that its run is under way.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE = "at-work.lock"


@contextmanager
def at_work(private: Path) -> Iterator[None]:
    """Be seen at work while the block runs.

    Args:
        private: The coordinator's private folder of the run.
    """
    with (private / FILE).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # who may write is decided by the chain's own lock
        yield


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
