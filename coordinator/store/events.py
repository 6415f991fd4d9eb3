"""Events of a run, for people and for the demo's screen: one JSON object a line, appended to a file.

Events hold counts, sizes, times and public digests, never an update. The file is how the screen of ``suture demo`` follows a
run whose ServerApp is another process; within one process the same events go through :class:`EventLog`'s listener.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]
"""``{"event": kind, "at": Unix time in seconds, ...}``; values are JSON scalars and lists of them."""

Listener = Callable[[Event], None]


class EventLog:
    """Appends events to a file. A line that a crash left half-written is ended first, so that it stays one bad line.

    Args:
        path: The file.
        listeners: Called with every event, in the thread that emits it; None is nobody.
        clock: Unix time in seconds.
    """

    def __init__(
        self, path: Path, *listeners: Listener | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._file = path.open("a", encoding="utf-8")
        if _ends_within_a_line(path):
            self._file.write("\n")
        self._listeners = tuple(listener for listener in listeners if listener is not None)
        self._clock = clock
        self._lock = threading.Lock()

    def emit(self, event: str, **values: object) -> None:
        """Append one event."""
        entry: Event = {"event": event, "at": round(self._clock(), 3), **values}
        with self._lock:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
        for listener in self._listeners:
            listener(entry)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class EventTail:
    """Reads the events that another process appends.

    Args:
        path: The file; it may not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> Iterator[Event]:
        """Yield the events that are complete and were not yielded before; lines that a crash cut off are skipped."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                event = _parse(line)
                if event is not None:
                    yield event


def _parse(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _ends_within_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return False
        file.seek(-1, 2)
        return file.read(1) != b"\n"
