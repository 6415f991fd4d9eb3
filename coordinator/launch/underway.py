"""What the SuperLink has under way of a launch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from coordinator.engines.control import FlowerControl
from coordinator.launch.state import LaunchState
from coordinator.store.presence import somebody_at_work
from fl_core.errors import InputError

FINISHED = "finished"
PATIENCE_S, LOOK_S = 120.0, 3.0
"""How long a run without a program is waited for, in seconds: Flower gives one up after 60, and a program starts in a few."""


def under_way(state: LaunchState) -> list[int]:
    """Return Flower's ids of the runs of this launch's app that have not ended, oldest first.

    Raises:
        SuperLinkAway: It does not answer.
        NoSuperLink: There is none at the folder.
    """
    known = FlowerControl(Path(state.superlink)).runs(state.app)
    return [number for number, status in known if not status.startswith(FINISHED)]


def attended(
    state: LaunchState,
    private: Path,
    say: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[int]:
    """Return what :func:`under_way` does, once a program works on the run or nothing is under way.

    A SuperLink that died with its ServerApp says for a minute that the run goes on. One that gave a program up which was frozen, or lost its
    database, says that nothing is under way while a program works: then its end is waited for.

    Args:
        state: The launch.
        private: The coordinator's private folder of the run.
        say: Told that it is waited.
        clock: Seconds that never run backwards.
        sleep: Called with the seconds until the next look.

    Raises:
        InputError: A program works on the run that the SuperLink does not know of, and did not end.
        SuperLinkAway: It does not answer.
        NoSuperLink: There is none at the folder.
    """
    end, told = clock() + PATIENCE_S, False
    while True:
        numbers, busy = under_way(state), somebody_at_work(private)
        if bool(numbers) == busy:
            return numbers
        if clock() >= end:
            if busy:
                raise InputError(
                    "A program works on the run that the SuperLink does not know of.",
                    fix="End it, or wait for its end; then resume the run.",
                )
            return numbers
        if not told:
            say(
                "A program works on the run that the SuperLink does not know of; waiting for its end."
                if busy
                else f"No program works on Flower's run {numbers[-1]}; waiting until one begins, or Flower gives it up."
            )
            told = True
        sleep(LOOK_S)


def newest(state: LaunchState) -> tuple[int, str] | None:
    """Return Flower's id and status of the newest run of this launch's app; None before the first.

    Raises:
        NoSuperLink: There is none at the folder.
        EngineError: It does not answer.
    """
    known = FlowerControl(Path(state.superlink)).runs(state.app)
    return known[-1] if known else None
