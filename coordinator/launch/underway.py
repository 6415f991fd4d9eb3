"""What the SuperLink has under way of a launch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from coordinator.engines.control import FlowerControl
from coordinator.launch.state import LaunchState
from coordinator.store.presence import somebody_at_work

FINISHED = "finished"
PATIENCE_S, LOOK_S = 120.0, 3.0
"""How long a run without a program is waited for, in seconds: Flower gives one up after 60, and a program starts in a few."""


def under_way(state: LaunchState) -> list[int]:
    """Return Flower's ids of the runs of this launch's app that have not ended, oldest first.

    Raises:
        SuperLinkAway: It does not answer.
        EngineError: There is no such SuperLink.
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

    A SuperLink that died with its ServerApp says for a minute that the run goes on.

    Args:
        state: The launch.
        private: The coordinator's private folder of the run.
        say: Told that it is waited.
        clock: Seconds that never run backwards.
        sleep: Called with the seconds until the next look.

    Raises:
        SuperLinkAway: It does not answer.
        EngineError: There is no such SuperLink.
    """
    end, told = clock() + PATIENCE_S, False
    while numbers := under_way(state):
        if somebody_at_work(private) or clock() >= end:
            return numbers
        if not told:
            say(
                f"No program works on Flower's run {numbers[-1]}; waiting until one begins, or Flower gives it up."
            )
            told = True
        sleep(LOOK_S)
    return []


def newest(state: LaunchState) -> tuple[int, str] | None:
    """Return Flower's id and status of the newest run of this launch's app; None before the first.

    Raises:
        EngineError: There is no such SuperLink, or it does not answer.
    """
    known = FlowerControl(Path(state.superlink)).runs(state.app)
    return known[-1] if known else None
