"""Figures for people: one line each, and below it one line for each peer with the ratio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.measurement import Case, Measurement

_VERDICTS = {True: "met", False: "MISSED", None: ""}


def list_of_cases(cases: Iterable[Case]) -> str:
    """Return the list of benchmarks."""
    lines = []
    for case in cases:
        lines += [f"{case.name:14}{case.measures}", f"{'':14}{', '.join(case.ids)}"]
    return "\n".join(lines)


def table(measurements: Iterable[Measurement], machine: Mapping[str, Any]) -> str:
    """Return the machine and the figures."""
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}",
        "",
        _line("figure", "value", "unit", "goal", "") + "  ratio",
    ]
    for one in measurements:
        goal = "" if one.goal is None else f"{one.goal:g}"
        lines.append(_line(one.id, _number(one.value), one.unit, goal, _VERDICTS[one.met]).rstrip())
        for name, peer in one.peers.items():
            ratio = one.ratios.get(name)
            shown = "" if ratio is None else f"{ratio:.2f} x"
            lines.append(_line(f"  {name}", _number(peer), one.unit, "", "") + f"  {shown}")
    return "\n".join(line.rstrip() for line in lines)


def _line(name: str, value: str, unit: str, goal: str, verdict: str) -> str:
    return f"{name:44}{value:>12} {unit:6}{goal:>6} {verdict:6}"


def _number(value: float) -> str:
    """Return whole numbers with separators, others with three digits after the point."""
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1000 else f"{value:,.3f}"
