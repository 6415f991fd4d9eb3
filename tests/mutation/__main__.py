"""Weakens one check after the other and sees whether a test notices: ``python -m tests.mutation [--numbered] [PATH ...]``.

Every mutant runs in a forked process with the changed module in the place of the original; no file is touched. Prints one
line for each mutant that no test noticed and a score at the end; exits with 1 when one survived. A mutant counts as
noticed when a test fails, or when it never ends.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from pathlib import Path

from tests.mutation.operators import Mutant, mutants_of
from tests.mutation.run import preload, survives
from tests.mutation.targets import EQUIVALENT, EVERYTHING, NUMBERED, SUPPORTING

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the mutants of the named modules, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="modules; all of tests/mutation/targets.py if none is named"
    )
    parser.add_argument("--numbered", action="store_true", help="the numbered checks of the protocol only")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th mutant")
    parser.add_argument("--list", action="store_true", help="say which mutants there are, run none")
    parser.add_argument("--json", type=Path, help="write the score to this file")
    options = parser.parse_args()
    first_tests = NUMBERED if options.numbered else NUMBERED | SUPPORTING
    paths = options.paths or list(first_tests)
    mutants = [m for path in paths for m in mutants_of(path, (ROOT / path).read_text())]
    mutants = mutants[:: options.every]
    if options.list:
        print(*mutants, sep="\n")
        return 0
    preload()
    for path in paths:
        same = Mutant(path, 0, "nothing changed", ast.parse((ROOT / path).read_text()))
        if not survives(same, first_tests[path]):
            print(f"the tests of {path} fail without any change", file=sys.stderr)
            return 2
    survivors, equivalent = [], 0
    for mutant in mutants:
        if f"{mutant.path} {mutant.what}" in EQUIVALENT:
            equivalent += 1
        elif survives(mutant, first_tests[mutant.path]) and survives(mutant, EVERYTHING):
            survivors.append(str(mutant))
            print(f"not noticed: {mutant}", flush=True)
    killed = len(mutants) - len(survivors) - equivalent
    score = {"mutants": len(mutants), "noticed": killed, "equivalent": equivalent, "not noticed": survivors}
    print(f"{len(mutants)} mutants, {killed} noticed, {equivalent} equivalent, {len(survivors)} not noticed")
    if options.json:
        options.json.write_text(json.dumps(score, indent=1) + "\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
