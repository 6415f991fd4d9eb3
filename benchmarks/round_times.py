"""Runs the demo's rounds and times each one: ``python -m benchmarks.round_times FOLDER ROUNDS SEED (protected|plain)``.

A process of its own, so that a run with protection and one without begin under the same conditions. A round lasts from the
end of the round before to its own end, so everything between two models is in it: opening, training, protection, both
commits, the committee, finalisation. The first round has no beginning that could be told from the start of the run, and is
where libraries are loaded; it is not counted.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from coordinator.demo.holders import bundled_csv, read_csv
from coordinator.demo.options import DemoOptions, Engine, Protection
from coordinator.demo.run import run_demo
from coordinator.store.events import Event

FINALISED = "round-finalised"


def timed_rounds(options: DemoOptions) -> list[dict[str, Any]]:
    """Run the demo and return the closing event of each round but the first, with ``wall_s``."""
    seen: list[tuple[float, Event]] = []
    run_demo(options, lambda event: seen.append((time.perf_counter(), event)))
    return durations(seen)


def durations(seen: Sequence[tuple[float, Event]]) -> list[dict[str, Any]]:
    """Return the closing events of all rounds but the first, each with the seconds since the one before.

    Args:
        seen: Events with the time in seconds at which they came, in order.
    """
    closing = [(at, event) for at, event in seen if event["event"] == FINALISED]
    return [{**event, "wall_s": at - before} for (before, _), (at, event) in pairwise(closing)]


def main(arguments: Sequence[str]) -> None:
    """Run and print a JSON list."""
    folder, rounds, seed, kind = arguments
    options = DemoOptions(
        engine=Engine.LOCAL,
        hospitals="4",
        rounds=int(rounds),
        seed=int(seed),
        folder=Path(folder),
        data=bundled_csv(),
        table=read_csv(bundled_csv()),
        protection=Protection.NONE if kind == "plain" else Protection.LATTICE,
        drop=0,
        port=None,
    )
    print(json.dumps(timed_rounds(options)))


if __name__ == "__main__":
    main(sys.argv[1:])
