"""The mutants of the contracts are what they say, and a sample of them is noticed. More: ``python -m tests.mutation.contracts``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.contracts import ROOT, Verdict, all_mutants, explained, sampled
from tests.mutation.vyper_mutants import mutants_of

SOURCE = '''# pragma nonreentrancy on
a: uint256


@external
def put(x: uint256):
    """
    @notice x >= 1 in here is not code
    """
    # nor is x >= 1 in here
    self._require(x >= 1 and x != 3, "x is wrong")
    self.a += x
    log Put(by=msg.sender, amount=x)
'''


def test_mutants_are_one_changed_line_of_code_each() -> None:
    mutants = list(mutants_of("Small", SOURCE))
    for mutant in mutants:
        changed = [
            (old.strip(), new.strip())
            for old, new in zip(SOURCE.splitlines(), mutant.source.splitlines(), strict=True)
            if old != new
        ]
        assert changed == [(mutant.before, mutant.after)]
    assert {mutant.after for mutant in mutants} >= {
        "pass",
        'self._require(x > 1 and x != 3, "x is wrong")',
        'self._require(x >= 1 and x == 3, "x is wrong")',
        'self._require(x >= 1, "x is wrong")',
        'self._require(x != 3, "x is wrong")',
        "self.a -= x",
        "log Put(by=empty(address), amount=x)",
        "log Put(by=msg.sender, amount=0)",
        "",
    }


def test_there_are_hundreds_of_mutants_and_a_sample_is_always_the_same() -> None:
    assert len(all_mutants()) > 400
    assert sampled(20) == sampled(40)[:20]
    assert {mutant.contract for mutant in sampled(40)} == {"RewardToken", "TrainingLedger"}


@pytest.mark.slow
def test_nearly_all_mutants_of_a_sample_are_noticed(tmp_path: Path) -> None:
    file = tmp_path / "verdicts.json"
    command = [
        sys.executable,
        "-m",
        "tests.mutation.contracts",
        "--sample",
        "10",
        "--quick",
        "--json",
        str(file),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode in (0, 1), result.stdout + result.stderr  # 2: the unchanged contracts fail
    verdicts = [v for v in (Verdict(**one) for one in json.loads(file.read_text())) if v.compiles]
    assert len(verdicts) >= 8
    left = [verdict for verdict in verdicts if not verdict.noticed and explained(verdict) is None]
    assert len(left) <= len(verdicts) // 10, left
