"""The peak of the ServerApp's process, seen from outside while a deployment of this process runs."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from suture_fl.processes import descendants

PROGRAM = b"flwr-serverapp"
FIND_S, LOOK_S = 0.5, 0.01


class ServerAppWatch:
    """Looks every ten milliseconds at what only the ServerApp uses (``RssAnon``), from entering the block to leaving it.

    Attributes:
        peak_bytes: The most that was seen; 0 where there was no ServerApp.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="serverapp-memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        status: Path | None = None
        while not self._stop.wait(FIND_S if status is None else LOOK_S):
            if status is None:
                status = _find()
                continue
            found = _anonymous(status)
            if found is None:
                status = None
            else:
                self.peak_bytes = max(self.peak_bytes, found)


def _find() -> Path | None:
    for process in descendants([os.getpid()]):
        folder = Path("/proc") / str(process)
        try:
            if PROGRAM in (folder / "cmdline").read_bytes():
                return folder / "status"
        except OSError:  # it has just ended
            continue
    return None


def _anonymous(status: Path) -> int | None:
    """Return the bytes in ``RssAnon``; None when the process is gone."""
    try:
        text = status.read_text()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    return None  # a zombie has no memory
