"""What a benchmark gives back. Less is better, unless a figure says otherwise."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fl_core.errors import SutureError


class BenchmarkError(SutureError):
    """A benchmark could not be made; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One figure.

    Attributes:
        id: Stable name; tools that follow a figure over time know it by this.
        value: The figure.
        unit: Its unit.
        goal: The figure should not be above this (below it, where more is better); None where no goal is set.
        peers: What to compare it with, in the same unit, timed in the same run.
        detail: Whatever explains the figure; JSON values.
        more_is_better: Whether the goal is a least value.
    """

    id: str
    value: float
    unit: str
    goal: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    more_is_better: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal

    @property
    def ratios(self) -> dict[str, float]:
        """The figure in units of each peer."""
        return {name: self.value / peer for name, peer in self.peers.items() if peer}

    def as_json(self, machine: Mapping[str, Any]) -> dict[str, Any]:
        """Return the figure as it is written to a file."""
        peers = {
            name: {"value": peer, "ratio": self.ratios.get(name)} for name, peer in sorted(self.peers.items())
        }
        detail = {**self.detail, "met": self.met, "peers": peers, "machine": dict(machine)}
        return {"id": self.id, "value": self.value, "unit": self.unit, "goal": self.goal, "detail": detail}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A benchmark.

    Attributes:
        name: What to type.
        measures: One sentence for the list.
        ids: The ids of its figures, in the order in which it gives them.
        run: Makes one repeat.
    """

    name: str
    measures: str
    ids: tuple[str, ...]
    run: Callable[[], Sequence[Measurement]]


def repeated(case: Case, repeats: int) -> tuple[Measurement, ...]:
    """Run a benchmark several times and return the median of each figure.

    ``detail`` is that of the repeat nearest to the median; its ``"samples"`` are the values of all repeats.

    Raises:
        BenchmarkError: It could not be made, or gave other figures than it announces.
    """
    runs = [tuple(case.run()) for _ in range(repeats)]
    for run in runs:
        if tuple(one.id for one in run) != case.ids:
            raise BenchmarkError(f"the benchmark {case.name!r} gave other figures than it announces.")
    return tuple(_merged(same) for same in zip(*runs, strict=True))


def _merged(same: Sequence[Measurement]) -> Measurement:
    samples = [one.value for one in same]
    value = statistics.median(samples)
    typical = min(same, key=lambda one: abs(one.value - value))
    return Measurement(
        id=typical.id,
        value=value,
        unit=typical.unit,
        goal=typical.goal,
        peers={name: statistics.median(one.peers[name] for one in same) for name in typical.peers},
        detail={**typical.detail, "samples": samples},
        more_is_better=typical.more_is_better,
    )
