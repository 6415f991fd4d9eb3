"""Times a piece of work by repeating it: the least, or two kinds of work in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

REPEATS = 3
TURNS = 101


def least(work: Callable[[], object], repeats: int = REPEATS) -> tuple[float, float]:
    """Return the least wall and processor seconds of a few runs after a first one."""
    work()
    spent = [_spent(work) for _ in range(repeats)]
    return min(wall for wall, _ in spent), min(processor for _, processor in spent)


def in_turn(works: Mapping[str, Callable[[], object]], turns: int = TURNS) -> dict[str, dict[str, float]]:
    """Do each kind of work once per turn, so that each finds the caches as the others leave them.

    Returns:
        For each kind ``wall_least_s``, ``wall_median_s``, ``cpu_least_s`` and ``cpu_median_s``.
    """
    for work in works.values():
        work()
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            spent[name].append(_spent(work))
    return {name: _summary(found) for name, found in spent.items()}


def _summary(spent: Sequence[tuple[float, float]]) -> dict[str, float]:
    walls, processors = [wall for wall, _ in spent], [processor for _, processor in spent]
    return {
        "wall_least_s": min(walls),
        "wall_median_s": statistics.median(walls),
        "cpu_least_s": min(processors),
        "cpu_median_s": statistics.median(processors),
    }


def _spent(work: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor
