"""The gateway's log on disk: one JSON object a line, written through before anything is sent.

It holds names, digests, sizes and reasons, never contents. Refused calls are cheap to make for whoever is behind the gateway, so
only the first :data:`MAX_REFUSALS` of a run of the process are written.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

MAX_REFUSALS = 10_000
_REFUSAL = "call-refused"


class OutgoingFile:
    """Appends to a file.

    Args:
        path: The file; is made, readable by its owner only.
        clock: Unix time in seconds.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left = MAX_REFUSALS
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def record(self, event: str, **facts: str | int) -> None:
        """Write one event."""
        with self._lock:
            if event == _REFUSAL:
                if self._left == 0:
                    return
                self._left -= 1
            line = json.dumps({"at": int(self._clock()), "event": event, **facts}, sort_keys=True)
            os.write(self._file, line.encode() + b"\n")
            os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._file)
