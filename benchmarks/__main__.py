"""``python -m benchmarks``: lists the benchmarks, or runs one.

Exit codes: 0 done, whether or not a goal is met; 1 the benchmark could not be made; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cases import all_cases
from benchmarks.machine import describe
from benchmarks.measurement import Case, repeated
from benchmarks.table import list_of_cases, table
from fl_core.errors import SutureError
from ledger.files import write_atomically

MAX_REPEATS = 100
FAILED, USAGE = 1, 2


def main(arguments: Sequence[str], cases: Mapping[str, Case]) -> int:
    """Do what the arguments say and return the exit code.

    Args:
        arguments: Without the program's name.
        cases: The benchmarks by name.
    """
    options = _parser().parse_args(arguments)
    if options.name is None:
        print(list_of_cases(cases.values()))
        return 0
    if options.name not in cases:
        print(
            f"error: there is no benchmark {options.name!r}; there are: {', '.join(cases)}.", file=sys.stderr
        )
        return USAGE
    machine = describe()
    try:
        found = repeated(cases[options.name], options.repeat)
        if options.json is not None:
            figures = [one.as_json(machine) for one in found]
            write_atomically(options.json, json.dumps(figures, indent=1).encode() + b"\n")
    except (SutureError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    print(table(found, machine))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Run a benchmark, or list them all."
    )
    parser.add_argument("name", nargs="?", help="which one; without it they are listed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to a file")
    parser.add_argument(
        "--repeat", type=_repeats, default=1, metavar="N", help="run it N times, take the medians"
    )
    return parser


def _repeats(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_REPEATS:
        raise argparse.ArgumentTypeError(f"a whole number between 1 and {MAX_REPEATS} is expected")
    return int(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], all_cases()))
