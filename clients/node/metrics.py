"""Numbers about a running node for a monitoring system: Prometheus' text format over HTTP.

Off unless asked for. Nothing here is about data: how often each call was answered and how, how long it took, how many bytes left. The
names are in ``docs/reference/metrics.md``; the format is version 0.0.4 of the exposition format
(https://prometheus.io/docs/instrumenting/exposition_formats/).
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from suture_fl.scrapes import ScrapeServer

BUCKETS_S = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Upper ends of the histogram of answering times, in seconds."""


class Metrics:
    """What is counted; safe for threads.

    Args:
        folder: The node's folder, for the room on its disk.
        left: Returns entries of the logbook and bytes that left.
        started: Unix time of the start, in seconds.
    """

    def __init__(self, folder: Path, left: Callable[[], tuple[int, int]], started: int) -> None:
        self._folder, self._left, self._started = folder, left, started
        self._lock = threading.Lock()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: Counter[str] = Counter()

    def observe(self, method: str, outcome: str, seconds: float) -> None:
        """Count one call of the door.

        Args:
            method: The call's name, or ``"unknown"``.
            outcome: ``"done"``, ``"refused"`` or ``"failed"``.
            seconds: How long it took.
        """
        with self._lock:
            self._calls[method, outcome] += 1
            self._seconds[method] += seconds  # type: ignore[assignment]  # a sum of floats
            for bound in BUCKETS_S:
                if seconds <= bound:
                    self._buckets[method, bound] += 1

    def text(self) -> str:
        """Return all metrics in the exposition format."""
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        entries, size = self._left()
        yield from _family("suture_node_calls_total", "counter", "Calls of the door by outcome.")
        for (method, outcome), count in sorted(self._calls.items()):
            yield f'suture_node_calls_total{{method="{method}",outcome="{outcome}"}} {count}'
        yield from _family("suture_node_call_seconds", "histogram", "How long calls took.")
        for method in sorted(self._seconds):
            total = sum(count for (name, _), count in self._calls.items() if name == method)
            for bound in BUCKETS_S:
                yield f'suture_node_call_seconds_bucket{{method="{method}",le="{bound:g}"}} {self._buckets[method, bound]}'
            yield f'suture_node_call_seconds_bucket{{method="{method}",le="+Inf"}} {total}'
            yield f'suture_node_call_seconds_sum{{method="{method}"}} {self._seconds[method]:.6f}'
            yield f'suture_node_call_seconds_count{{method="{method}"}} {total}'
        for name, kind, about, value in (
            (
                "suture_node_reached_total",  # a series from the start on, or its first increase would not be seen
                "counter",
                "Times that training code reached for what is the node's.",
                self._calls["reached", "done"],
            ),
            ("suture_node_left_bytes_total", "counter", "Bytes that left the house, by the logbook.", size),
            ("suture_node_logbook_entries", "gauge", "Entries of the logbook.", entries),
            (
                "suture_node_disk_free_bytes",
                "gauge",
                "Room on the disk.",
                shutil.disk_usage(self._folder).free,
            ),
            ("suture_node_start_time_seconds", "gauge", "When the node was started.", self._started),
        ):
            yield from _family(name, kind, about)
            yield f"{name} {value}"


def _family(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


class MetricsServer(ScrapeServer):
    """Answers ``GET /metrics`` until it is closed; see :class:`~suture_fl.scrapes.ScrapeServer`.

    Args:
        metrics: What to show.
        place: ``"127.0.0.1:9464"``.

    Raises:
        InputError: The address is none, is one that anybody could reach, or is taken.
    """

    def __init__(self, metrics: Metrics, place: str) -> None:
        super().__init__(metrics.text, place)
