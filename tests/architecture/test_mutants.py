"""The mutants of ``tests/mutation`` weaken what they say, and a sample of them is noticed. All: ``python -m tests.mutation``."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

from tests.architecture.numbered_checks import CHECKS
from tests.architecture.sources import ROOT
from tests.mutation.operators import mutants_of
from tests.mutation.targets import EQUIVALENT, EVERYTHING, NUMBERED, SUPPORTING

SOURCE = """
def check(a, b):
    ours = (a.run, a.round)
    spoken = (b.run, b.round)
    _expect(1, ours == spoken, "another round")
    _expecting(2)(a.x < b.y, "too much")
    if a.size > 9 or not b:
        raise ValueError("size")
    checks = ((3, a.good and b.good, "bad"),)
    notary.verify(a, b)
    return (a.p, a.q) == (b.p, b.q)
"""
WEAKENED = {
    "_expect(1, True, 'another round')",
    "ours = (a.round,)",
    "ours = (a.run,)",
    "_expecting(2)(True, 'too much')",
    "_expecting(2)(a.x <= b.y, 'too much')",
    "if False:",
    "if a.size > 9:",
    "if not b:",
    "checks = ((3, True, 'bad'),)",
    "checks = ((3, a.good, 'bad'),)",
    "checks = ((3, b.good, 'bad'),)",
    "None",
    "return (a.q,) == (b.q,)",
    "return (a.p,) == (b.p,)",
}


def test_every_kind_of_check_is_weakened_in_every_way_once():
    original = set(ast.unparse(ast.parse(SOURCE)).splitlines())
    seen = []
    for mutant in mutants_of("here.py", SOURCE):
        changed = [line.strip() for line in ast.unparse(mutant.tree).splitlines() if line not in original]
        assert changed, str(mutant)
        seen.append(changed[0])
    assert set(seen) == WEAKENED
    assert len(seen) == len(WEAKENED)


def test_code_without_a_check_has_no_mutant():
    assert mutants_of("here.py", "def add(a, b):\n    print(a)\n    return a + b\n") == []


def test_the_numbered_checks_of_the_protocol_are_weakened():
    modules = {
        inspect.getmodule(code).__name__.replace(".", "/") + ".py"
        for _, performing in CHECKS.values()
        for code in performing
    }
    assert modules <= set(NUMBERED)
    for path in NUMBERED | SUPPORTING:
        assert mutants_of(path, (ROOT / path).read_text()), f"{path} has no check"


def test_the_tests_that_must_notice_exist_and_what_counts_as_equivalent_is_there_and_has_a_reason():
    for tests in (*NUMBERED.values(), *SUPPORTING.values(), EVERYTHING):
        assert all((ROOT / path).exists() for path in tests)
    known = {
        f"{m.path} {m.what}"
        for path in NUMBERED | SUPPORTING
        for m in mutants_of(path, (ROOT / path).read_text())
    }
    assert set(EQUIVALENT) <= known
    assert all(len(reason) > 20 for reason in EQUIVALENT.values())


@pytest.mark.slow
def test_every_fifth_mutant_of_a_numbered_check_is_noticed():
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--numbered", "--every", "5"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 not noticed" in done.stdout
