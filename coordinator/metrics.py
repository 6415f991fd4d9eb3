"""Numbers about a run for a monitoring system, in Prometheus' text format: what its events, its outbox and its ledger say.

A process of its own reads them, so that it can be started, stopped and killed without touching the run. Nothing here is about data, and
no holder is named: refusals are counted by kind. The names are in ``docs/reference/metrics.md``. Counters begin with the run's event
file, not with this process.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from coordinator.store.events import Event, EventTail

ROUND_ENDS = {"round-finalised": "finalised", "round-failed": "failed"}
REFUSALS = ("contribution-refused", "contribution-lost", "answer-refused", "answer-lost", "holder-left-out")
PARTS = ("train", "holder_protection", "coordinator_protection", "ledger", "archive")
"""What a round's closing event times, each in ``<part>_ms``."""

PHASES = {"round-opened": "training", "sets-committed": "reveal"}


class Head(NamedTuple):
    """The newest block: its number, and the Unix time in seconds at which it was made."""

    number: int
    made: int


class RunMetrics:
    """Counts a run's events. Safe for threads.

    Args:
        private: The coordinator's private folder.
        head: Returns the ledger's newest block; None when it does not answer.
        clock: Unix time in seconds.
    """

    def __init__(self, private: Path, head: Callable[[], Head | None], clock: Callable[[], float]) -> None:
        self._tail, self._outbox = EventTail(private / "events.jsonl"), private / "outbox.sqlite"
        self._head, self._clock = head, clock
        self._lock = threading.Lock()
        self._rounds: Counter[str] = Counter()
        self._refusals: Counter[str] = Counter()
        self._milliseconds: Counter[str] = Counter()
        self._bytes = self._contributions = self._round = 0
        self._phase = "waiting"

    def text(self) -> str:
        """Return all metrics in the exposition format."""
        with self._lock:
            for event in self._tail.new():
                self._count(event)
            return "\n".join(self._lines()) + "\n"

    def _count(self, event: Event) -> None:
        kind = event["event"]
        self._phase = PHASES.get(kind, self._phase)
        if kind == "round-opened":
            self._round = int(event["round"])
        elif kind == "contribution":
            self._contributions += 1
            self._bytes += int(event["bytes"])
        elif kind in ROUND_ENDS:
            self._rounds[ROUND_ENDS[kind]] += 1
            self._phase = "waiting"
            for part in PARTS:
                self._milliseconds[part] += event.get(f"{part}_ms", 0)
        elif kind in REFUSALS:
            self._refusals[kind] += 1

    def _lines(self) -> Iterator[str]:
        yield from _family("suture_run_rounds_total", "counter", "Rounds that ended, by outcome.")
        for outcome in ROUND_ENDS.values():
            yield f'suture_run_rounds_total{{outcome="{outcome}"}} {self._rounds[outcome]}'
        yield from _family("suture_run_phase", "gauge", "1 for the phase the run is in.")
        for phase in ("waiting", *PHASES.values()):
            yield f'suture_run_phase{{phase="{phase}"}} {int(phase == self._phase)}'
        yield from _family(
            "suture_run_refusals_total", "counter", "What was refused, lost or left out, by kind."
        )
        for kind in REFUSALS:
            yield f'suture_run_refusals_total{{kind="{kind}"}} {self._refusals[kind]}'
        yield from _family(
            "suture_run_seconds_total",
            "counter",
            "Time of finished rounds by part; the slowest holder counts.",
        )
        for part in PARTS:
            yield f'suture_run_seconds_total{{part="{part}"}} {self._milliseconds[part] / 1000:.4f}'
        for name, about, value in (
            ("suture_run_contributions_total", "Contributions taken.", self._contributions),
            ("suture_run_contribution_bytes_total", "Bytes of contributions taken.", self._bytes),
        ):
            yield from _single(name, "counter", about, value)
        yield from _single("suture_run_round", "gauge", "The newest round.", self._round)
        yield from self._ledger()

    def _ledger(self) -> Iterator[str]:
        head = self._head()
        yield from _single(
            "suture_run_ledger_up", "gauge", "Whether the ledger answers.", int(head is not None)
        )
        if head is not None:
            yield from _single("suture_run_ledger_head", "gauge", "Number of the newest block.", head.number)
            age = max(0.0, self._clock() - head.made)
            yield from _single(
                "suture_run_ledger_age_seconds", "gauge", "Age of the newest block.", round(age)
            )
        depth = outbox_depth(self._outbox)
        if depth is not None:
            yield from _single("suture_run_outbox_depth", "gauge", "Transactions without a receipt.", depth)


def outbox_depth(path: Path) -> int | None:
    """Return how many signed transactions wait for their receipt; None when the file cannot be read now."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1.0)) as database:
            row = database.execute("SELECT COUNT(*) FROM entry WHERE state='signed'").fetchone()
            return int(row[0])
    except sqlite3.Error:
        return None


def _single(name: str, kind: str, about: str, value: float) -> Iterator[str]:
    yield from _family(name, kind, about)
    yield f"{name} {value}"


def _family(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"
