"""What the settings of a training task may be: the type and the range of each; light, so that a node can ask before it trains.

Ranges are wide: they refuse what cannot train at all, or would not end. What trains well is for who designs the run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a task.

    Attributes:
        kind: The type that it is read as; a whole number will do for a float.
        least: Smallest value.
        most: Largest value.
    """

    kind: type
    least: float
    most: float

    def problem(self, value: object) -> str | None:
        """Return what is wrong with a value of the right type, or None."""
        if type(value) is not int and not (type(value) is float and math.isfinite(value)):
            return f"is a finite number, not {value!r}"
        within = self.least <= value <= self.most
        return None if within else f"is {self.least} to {self.most}, not {value!r:.40}"

    def fits(self, value: object) -> bool:
        """Whether a value has the type."""
        return type(value) is self.kind or (self.kind is float and type(value) is int)


HEART_DISEASE: Mapping[str, Setting] = {
    "updates": Setting(int, 1, 100_000),
    "batch_size": Setting(int, 1, 1_000_000),
    "learning_rate": Setting(float, 1e-9, 100.0),
    "seed": Setting(int, 0, 2**53),
}
"""What the tasks on the heart data are told: local updates in a round, examples in an update, step size, and order of the examples."""

SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "heart-disease": HEART_DISEASE,
    "heart-disease-wide": HEART_DISEASE,
}
"""Task -> its settings."""


def settings_problem(task: str, settings: Mapping[str, object]) -> str:
    """Return which setting of a run is out of its range or of another type; empty where none is, and for a task that is not installed here."""
    for name, one in SETTINGS.get(task, {}).items():
        if name not in settings:
            continue  # the task says so itself when it trains; here it is asked what could do harm
        if not one.fits(settings[name]):
            return f"{name} is of the type {one.kind.__name__}, not {settings[name]!r:.40}"
        if (problem := one.problem(settings[name])) is not None:
            return f"{name} {problem}"
    return ""
