"""Milliseconds by purpose, for events and summaries. Never used to decide anything."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the time spent on each of a few purposes."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, purpose: str) -> Iterator[None]:
        """Count the time inside the block for ``purpose``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[purpose] = self._seconds.get(purpose, 0.0) + time.perf_counter() - start

    def milliseconds(self, purpose: str) -> float:
        """Return what was counted for ``purpose``, rounded to a tenth."""
        return round(1000 * self._seconds.get(purpose, 0.0), 1)
