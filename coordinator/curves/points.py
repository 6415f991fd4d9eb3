"""From a run's events to points of curves: a step is a round, and every value is about the round as a whole.

No holder's own value is plotted: counts, sums over all contributions, the totals of the round's counters, and of reported times the slowest.
The names are in ``docs/reference/curves.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from coordinator.store.events import Event

CORRECT, TOTAL = "-correct", "-total"
"""Endings of two counters whose quotient is plotted too."""

PARTS: Mapping[str, str] = {
    "train_ms": "seconds/train",
    "holder_protection_ms": "seconds/holder_protection",
    "coordinator_protection_ms": "seconds/coordinator_protection",
    "ledger_ms": "seconds/ledger",
    "archive_ms": "seconds/archive",
}
LOST: Mapping[str, str] = {
    "contribution-refused": "lost/contributions_refused",
    "contribution-lost": "lost/contributions",
    "answer-refused": "lost/answers_refused",
    "answer-lost": "lost/answers",
}
NUMBERS: Mapping[str, str] = {
    "included": "round/included",
    "failed_elements": "round/failed_elements",
    "gas": "cost/gas",
}
LENGTHS: Mapping[str, str] = {"blamed": "round/blamed", "liars": "round/liars", "unopened": "round/unopened"}


class Point(NamedTuple):
    """One point: its curve, the round, the value, and when it was made in Unix seconds (0 where the event does not say)."""

    tag: str
    step: int
    value: float
    at: float


class Points:
    """Takes a run's events in order and returns the points of each round when it ends.

    A round counts once, also in a run that was resumed: its number is the ledger's, and what was said of a round that a crash cut off is
    dropped when the next one opens.
    """

    def __init__(self) -> None:
        self._round = 0
        self._ended: set[int] = set()
        self._seen: Counter[str] = Counter()
        self._models = 0
        self._spent: float | None = None

    def take(self, event: Event) -> list[Point]:
        """Return the points that an event completes; usually none."""
        kind, number = event["event"], event.get("round")
        if kind == "round-opened":
            self._round = 0 if number in self._ended else int(event["round"])
            self._seen.clear()
            self._spent = _number(event.get("budget_spent"))
        elif number != self._round or not self._round:
            return []  # of no open round: an attempt that found too few nodes has no number on the ledger
        elif kind == "contribution":
            self._seen["contributions"] += 1
            self._seen["bytes"] += int(event["bytes"])
        elif kind in LOST:
            self._seen[kind] += 1
        elif kind in ("round-finalised", "round-failed"):
            return self._end(event)
        return []

    def _end(self, event: Event) -> list[Point]:
        number, at = self._round, _number(event.get("at")) or 0.0
        self._round = 0
        self._ended.add(number)
        made = event["event"] == "round-finalised"
        self._models += made
        values = {"round/made_model": float(made), "round/models": float(self._models), **self._counted()}
        if made:
            values.update(_of_model(event))
        return [Point(tag, number, value, at) for tag, value in values.items()]

    def _counted(self) -> dict[str, float]:
        found = {
            "round/contributions": float(self._seen["contributions"]),
            "bytes/contributions": float(self._seen["bytes"]),
        }
        if self._spent is not None:
            found["privacy/budget_spent"] = self._spent
        return found | {tag: float(self._seen[kind]) for kind, tag in LOST.items()}


def _of_model(event: Event) -> dict[str, float]:
    """Return what the closing event of a round that made a model says."""
    found: dict[str, float] = {}
    counters = {
        name: value
        for name, count in event.get("counters", {}).items()
        if (value := _number(count)) is not None
    }
    for name, value in counters.items():
        found[f"counters/{name}"] = value
        stem = name.removesuffix(CORRECT)
        total = counters.get(stem + TOTAL, 0.0)
        if stem != name and total > 0:
            found[f"accuracy/{stem}"] = value / total
    for key, tag in PARTS.items():
        if (milliseconds := _number(event.get(key))) is not None:
            found[tag] = milliseconds / 1000
    for key, tag in NUMBERS.items():
        if (number := _number(event.get(key))) is not None:
            found[tag] = number
    for key, tag in LENGTHS.items():
        if isinstance(event.get(key), list):
            found[tag] = float(len(event[key]))
    return found


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
