"""Whether the tests notice small mistakes in the contracts: ``python -m tests.mutation.contracts [--sample N]``.

Each mutant is compiled and put in the place of the checked-in artifact, in a forked process; no file is touched. (Only in a
process that has loaded no artifact yet: run this program, do not call it from another.) The unchanged contracts come first, as
a control: whatever is noticed about them is not a mutant's doing. Then the tests of single functions, pitfalls and storage run
against each mutant, those of the changed function first, for they notice most; then the stateful machine. The gas snapshot and
whatever reads the source are left out: they would notice any change. Prints one line for each mutant that nothing noticed and a
score; exits with 1 when one survived that is not explained in :data:`EXPLAINED`. With ``--json`` each verdict is on disk before
the next mutant begins, and a program that was stopped goes on where it stood.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import re
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from tests.contracts.sources import PREFIXES, source
from tests.mutation.vyper_mutants import VyperMutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("tests/contracts/ledger", "tests/contracts/token", "tests/contracts/test_pitfalls.py",
         "tests/contracts/test_contract_members.py", "tests/contracts/test_storage.py")  # fmt: skip
TIMEOUT_S = 300
"""Processor time for one mutant: one that takes longer never ends."""
EXAMPLES = 30
"""Histories of the machine against each mutant; the slow test plays 100."""
EXPLAINED: dict[str, str] = {
    "TrainingLedger comparison: if progress.cost > 0: -> if progress.cost >= 0:": (
        "equivalent: a cost is never negative, and adding 0 changes nothing; the condition saves gas"
    ),
    "TrainingLedger comparison: if reward > 0: -> if reward >= 0:": (
        "equivalent: without a reward there is no root either, and what is written was there before; the condition saves gas"
    ),
    "TrainingLedger comparison: if progress.opened > 0: -> if progress.opened >= 0:": (
        "equivalent in closeRun: there is no round 0, and its state is not one of those that are refused"
    ),
    "TrainingLedger comparison: if convert(node, uint256) < convert(sibling, uint256): -> if convert(node, uint256) <= convert(sibling, uint256):": (
        "equivalent: two equal words are hashed to the same in either order"
    ),
}
"""Name of a mutant -> why no test can notice it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What noticed a mutant; ``machine`` is None where the tests did and the machine was not asked (``--quick``)."""

    contract: str
    line: int
    operator: str
    before: str
    after: str
    compiles: bool
    machine: bool | None
    tests: bool

    @property
    def noticed(self) -> bool:
        return bool(self.machine) or self.tests


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sample", type=int, metavar="N", help="only N mutants, always the same ones")
    parser.add_argument("--part", type=int, choices=(1, 2), help="only the first or second half of them")
    parser.add_argument("--list", action="store_true", help="say which mutants there are, run none")
    parser.add_argument(
        "--from-json", type=Path, nargs="+", metavar="FILE", help="print the table of earlier verdicts"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write each verdict to a file as it comes, and go on with what is there",
    )
    parser.add_argument(
        "--quick", action="store_true", help="ask the machine only where the tests notice nothing"
    )
    options = parser.parse_args(arguments)
    if options.from_json:
        earlier = [one for path in options.from_json for one in _read(path)]
        print(page(earlier) + "\n" + score(earlier))
        return 0
    mutants = sampled(options.sample)
    if options.part:
        mutants = mutants[options.part - 1 :: 2]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.contract}:{mutant.line} {mutant.operator}: {mutant.before} -> {mutant.after}")
        return 0
    _preload()
    control = judge(*(VyperMutant(name, 1, "none", "", "", source(name)) for name in PREFIXES))
    if control.noticed or not control.compiles:
        print("The unchanged contracts fail already: mend that first.", file=sys.stderr)
        return 2
    verdicts = _judge_all(mutants, options.json, quick=options.quick)
    print(score(verdicts))
    left = [v for v in verdicts if v.compiles and not v.noticed and explained(v) is None]
    return 1 if left else 0


def _judge_all(mutants: Sequence[VyperMutant], file: Path | None, *, quick: bool) -> list[Verdict]:
    """Judge mutants; those that a file has a verdict on already are not judged again."""
    known = {_key(one): one for one in _read(file)} if file is not None and file.exists() else {}
    verdicts = [known[_key(mutant)] for mutant in mutants if _key(mutant) in known]
    for mutant in mutants:
        if _key(mutant) in known:
            continue
        verdict = judge(mutant, quick=quick)
        verdicts.append(verdict)
        if verdict.compiles and not verdict.noticed:
            print(f"not noticed: {mutant.contract}:{mutant.line} {mutant.operator}: {mutant.before} -> {mutant.after}", flush=True)  # fmt: skip
        if file is not None:
            beside = file.with_suffix(".part")
            beside.write_text(json.dumps([asdict(one) for one in verdicts], indent=1) + "\n", "utf-8")
            beside.replace(file)
        print(f"{len(verdicts)}/{len(mutants)}", end="\r", file=sys.stderr, flush=True)
    return verdicts


def _key(one: VyperMutant | Verdict) -> tuple[str, int, str, str]:
    return one.contract, one.line, one.operator, one.after


def _read(file: Path) -> list[Verdict]:
    return [Verdict(**one) for one in json.loads(file.read_text("utf-8"))]


def _preload() -> None:
    """Import, once for all children, what each of them needs; no artifact may be loaded by that."""
    for module in ("vyper", "hypothesis.stateful", "pytest", "tests.contracts.test_stateful"):
        importlib.import_module(module)
    from ledger import artifacts

    assert artifacts.load.cache_info().currsize == 0, "an artifact was loaded before a mutant took its place"


def all_mutants() -> list[VyperMutant]:
    """Return the mutants of all contracts."""
    return [mutant for name in PREFIXES for mutant in mutants_of(name, source(name))]


def sampled(count: int | None) -> list[VyperMutant]:
    """Return ``count`` mutants that have nothing to do with where they are; all of them for None."""
    shuffled = sorted(all_mutants(), key=lambda m: sha256(f"{m.line} {m.after}".encode()).digest())
    return shuffled[:count]


def explained(verdict: Verdict) -> str | None:
    """Return why no test can notice a mutant, if that is so."""
    return EXPLAINED.get(f"{verdict.contract} {verdict.operator}: {verdict.before} -> {verdict.after}")


def score(verdicts: Sequence[Verdict]) -> str:
    """Return the score in one line."""
    alive = [verdict for verdict in verdicts if verdict.compiles]
    asked = [verdict for verdict in alive if verdict.machine is not None]
    machine = sum(bool(verdict.machine) for verdict in asked)
    noticed = sum(verdict.noticed for verdict in alive)
    return (
        f"{len(alive)} mutants that compile (of {len(verdicts)}): {noticed} noticed ({noticed / len(alive):.1%}); "
        f"the machine alone notices {machine} of the {len(asked)} that it was asked about ({machine / len(asked):.1%})"
    )


def page(verdicts: Sequence[Verdict]) -> str:
    """Return the table for docs/reference/contract-mutants.md."""
    lines = ["| contract, line | mistake | was | became | noticed by |", "|---|---|---|---|---|"]
    for one in sorted(verdicts, key=lambda v: (v.contract, v.line, v.after)):
        by = " and ".join(["machine"] * bool(one.machine) + ["tests"] * one.tests)
        by += "; machine not asked" if one.machine is None else ""
        if not one.compiles:
            by = "the compiler"
        before, after = (text.replace("|", "\\|") for text in (one.before, one.after))
        lines.append(
            f"| {one.contract} {one.line} | {one.operator} | `{before}` | `{after}` | {by or '**nothing**'} |"
        )
    return "\n".join(lines) + "\n"


def judge(mutant: VyperMutant, *others: VyperMutant, quick: bool = False) -> Verdict:
    """Run tests and machine against a mutant, with others of other contracts, in a process of its own; the machine not always if ``quick``."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            found = _judged(mutant, *others, quick=quick)
        except BaseException as error:  # noqa: BLE001 - a child must not return into the parent's code
            found = f"error {error!r}"
        os.write(writing, found.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGPROF:
        answer = "compiles tests"  # it never ended
    if answer.startswith("error") or not answer:
        raise RuntimeError(f"{mutant.contract}:{mutant.line} could not be judged: {answer}")
    return Verdict(
        mutant.contract, mutant.line, mutant.operator, mutant.before, mutant.after,
        compiles="compiles" in answer, tests="tests" in answer,
        machine=None if quick and "tests" in answer else "machine" in answer,
    )  # fmt: skip


def _judged(mutant: VyperMutant, *others: VyperMutant, quick: bool) -> str:
    """In the child: which of "compiles", "machine", "tests" hold."""
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, TIMEOUT_S)
    gc.disable()  # the process ends soon; the compiler is a fifth faster
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")
    if not all(map(_install, (mutant, *others))):
        return "refused by the compiler"
    found = ["compiles"]
    if _tests_fail(_nearest(mutant)) or _tests_fail(TESTS):
        found.append("tests")
    if (found == ["compiles"] or not quick) and _machine_fails():
        found.append("machine")
    return " ".join(found)


def _nearest(mutant: VyperMutant) -> Sequence[str]:
    """Return the file with the tests of the function that was changed, which notice most; nothing where there is none."""
    functions = re.findall(
        r"^def _?(\w+)\(", "\n".join(mutant.source.splitlines()[: mutant.line]), re.MULTILINE
    )
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", functions[-1]).lower() if functions else ""
    file = f"tests/contracts/ledger/test_{name}.py"
    return [file] if (ROOT / file).exists() else []


def _install(mutant: VyperMutant) -> bool:
    """Put the mutant in the place of the artifact; return whether it compiles."""
    import vyper.exceptions

    from ledger import artifacts
    from ledger.artifacts.compile import compile_source, render

    try:
        document = compile_source(mutant.source, mutant.contract)
    except (vyper.exceptions.VyperException, vyper.exceptions.VyperInternalException, SyntaxError):
        return False
    mutated, genuine = artifacts.parse(render(document)), artifacts.parse

    def parse(text: str) -> artifacts.Artifact:
        """Read an artifact; ``load`` calls this, whoever imported it before."""
        found = genuine(text)
        return mutated if found.name == mutant.contract else found

    artifacts.parse = parse
    return True


def _machine_fails() -> bool:
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis.stateful import run_state_machine_as_test

    from tests.contracts.test_stateful import LedgerMachine

    once = settings(
        max_examples=EXAMPLES, stateful_step_count=50, deadline=None, derandomize=True, database=None,
        phases=[Phase.generate], report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    try:
        run_state_machine_as_test(LedgerMachine, settings=once)  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001 - whatever it is, the mutant was noticed
        return True
    return False


def _tests_fail(paths: Sequence[str]) -> bool:
    import pytest

    if not paths:
        return False
    code = pytest.main(
        ["-x", "-q", "-p", "no:cacheprovider", "-W", "ignore", "-m", "not slow and not anvil", *paths]
    )
    if code not in (0, 1, 2):
        raise RuntimeError(f"pytest ended with {code}")
    return code != 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
