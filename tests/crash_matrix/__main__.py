"""``python -m tests.crash_matrix [--part PART] [--only WORD ...] [--json FILE] [--table FILE]``: play every point of the matrix.

A point that fails stops no other: each has its line, and the exit code is 1 in the end. The points on the services of production
are rounds of one run, all others are runs of their own. All of it takes about an hour and a half on two idle cores; on a busy
machine ``--patience 2`` doubles the services' deadlines and changes no check.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.crash_matrix.deployed import HOLDS, Outcome, play_deployed
from tests.crash_matrix.deployed_points import KILLS
from tests.crash_matrix.points import POINTS
from tests.crash_matrix.world import Founded, as_json, play


def table(results: Iterable[dict[str, object]]) -> str:
    """The results as rows of Markdown."""
    rows = [
        "| killed | phase | moment | away | commands given again | models | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in results:
        verdict = f"fails: {one['failed']}" if "failed" in one else "holds"
        away = f"{one['away_s']} s" if one.get("away_s") else ""
        cells = (
            one["party"],
            one["phase"],
            one["moment"],
            away,
            one.get("commands_again", ""),
            one.get("models", ""),
            verdict,
        )
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows) + "\n"


def deployed_table(outcomes: Iterable[Outcome]) -> str:
    """The kills on services as rows of Markdown."""
    rows = [
        "| killed | phase | moment | back after | the researcher's commands | the round | its end after | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in outcomes:
        away = f"{one.away_s:.0f} s" if one.away_s else ""
        end = f"model of {one.included}" if one.end == "round-finalised" else one.end.replace("|", "/")
        lasted = f"{one.seconds:.0f} s" if one.seconds else ""
        cells = (one.kill.party, one.kill.phase, one.kill.when, away, one.commands, end, lasted, one.verdict)
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Play and tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash_matrix")
    parser.add_argument("--only", nargs="+", default=[""], help="points whose name holds one of these")
    parser.add_argument("--part", choices=("processes", "services"), help="only one of the two tables")
    parser.add_argument(
        "--patience", type=float, default=1.0, help="multiply the services' deadlines by this"
    )
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="begin no kill on services after so many"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    results = [] if options.part == "services" else _processes(options.only)
    outcomes, faults = [], 0
    if options.part != "processes":
        until = time.time() + 60 * options.minutes
        outcomes, faults = _services(options.only, options.patience, until)
    if options.json:
        options.json.write_text(as_json([*results, *(one.as_dict() for one in outcomes)]))
    if options.table:
        options.table.write_text(table(results) + "\n" + deployed_table(outcomes))
    failed = sum("failed" in one for one in results) + sum(one.verdict != HOLDS for one in outcomes)
    return int(failed + faults > 0)


def _processes(only: Sequence[str]) -> list[dict[str, object]]:
    """Play the kills of coordinator, node and chain, each in a run of its own."""
    results: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        founded = Founded(Path(name))
        try:
            for index, point in enumerate(p for p in POINTS if any(word in p.name for word in only)):
                place = Path(name) / str(index)
                place.mkdir()
                try:
                    results.append(play(founded, place, point))
                    print(f"holds   {point.name}  {results[-1]['seconds']} s", flush=True)
                except Exception as error:  # noqa: BLE001 - the other points are played all the same
                    facts = {"party": point.party, "phase": point.phase, "moment": point.moment}
                    results.append({**facts, "failed": str(error)})
                    print(f"FAILED  {point.name}", flush=True)
                    traceback.print_exc()
        finally:
            founded.close()
    return results


def _services(only: Sequence[str], patience: float, until: float) -> tuple[list[Outcome], int]:
    """Play the kills on services, in one run; return what came of them, and 1 where the run failed as a whole."""
    outcomes: list[Outcome] = []

    def told(one: Outcome) -> None:
        outcomes.append(one)
        print(f"{one.verdict}   {one.kill.name}: {one.as_dict()}", flush=True)

    kills = [kill for kill in KILLS if any(word in kill.name for word in only)]
    if not kills:
        return [], 0
    try:
        _, models = play_deployed(kills, patience, until=until, told=told)
    except Exception:  # noqa: BLE001 - the other results are written all the same
        print("FAILED  the run on services", flush=True)
        traceback.print_exc()
        return outcomes, 1
    print(f"{HOLDS}   the run on services, {models} models", flush=True)
    return outcomes, 0


if __name__ == "__main__":
    raise SystemExit(main())
