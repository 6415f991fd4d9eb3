"""Faults that checks find, and the verdicts that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum

from fl_core.errors import SutureError

MAX_FAULTS = 100
"""Faults of one check that are kept; a folder with more is not in doubt."""


class Verdict(Enum):
    """What came of a check."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    SKIPPED = "skipped"
    """Not made: a check that it needs failed, or the audit was to stop at the first failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        path: The object at fault: a file of the folder, relative to it.
        round: The round it belongs to; 0 when it belongs to none.
        holder: The account it belongs to, hexadecimal; empty when it belongs to none.
        problem: What is wrong, in one sentence without a full stop.
    """

    path: str
    round: int
    holder: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one check.

    Attributes:
        number: Number of the check.
        verdict: What came of it.
        summary: What was looked at, or why the check was skipped; empty after a failure.
        faults: What is wrong; empty unless the verdict is FAIL.
        more_faults: How many further faults were found and not kept.
        stop: Why no further check may be made after this one; empty where they may.
        milliseconds: How long it took.
    """

    number: int
    verdict: Verdict
    summary: str
    faults: tuple[Fault, ...] = ()
    more_faults: int = 0
    stop: str = ""
    milliseconds: float = 0.0


Progress = Callable[[int, int], None]
"""Told how much of a check is done, and how much there is."""


class Findings:
    """Collects the faults of one check.

    Args:
        progress: Told how far the check is.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.faults: list[Fault] = []
        self.more = 0
        self._stop = ""

    def stop(self, reason: str) -> None:
        """Have no further check made, whatever it needs."""
        self._stop = reason

    def add(self, path: str, problem: str, *, number: int = 0, holder: bytes = b"") -> None:
        """Note a fault."""
        fault = Fault(path=path, round=number, holder=holder.hex(), problem=_sentence(problem))
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)
        else:
            self.more += 1

    def expect(
        self, condition: bool, path: str, problem: str, *, number: int = 0, holder: bytes = b""
    ) -> None:
        """Note a fault unless ``condition`` holds."""
        if not condition:
            self.add(path, problem, number=number, holder=holder)

    @contextmanager
    def at(self, path: str, *, number: int = 0, holder: bytes = b"") -> Iterator[None]:
        """Turn an error of ours inside the block into a fault of ``path`` and go on after it."""
        try:
            yield
        except SutureError as error:
            self.add(path, error.message, number=number, holder=holder)

    def outcome(self, number: int, summary: str, milliseconds: float) -> Outcome:
        """Return the result."""
        passed = Outcome(
            number=number,
            verdict=Verdict.PASS,
            summary=summary,
            milliseconds=round(milliseconds, 1),
            stop=self._stop,
        )
        if not self.faults:
            return passed
        faults = tuple(self.faults)
        return replace(passed, verdict=Verdict.FAIL, summary="", faults=faults, more_faults=self.more)


def _sentence(text: str) -> str:
    """Join the lines of a message and drop its full stop."""
    return " ".join(text.split()).removesuffix(".")
