"""Faults become verdicts."""

from __future__ import annotations

import pytest

from fl_core.errors import VerificationError
from ledger.audit.findings import MAX_FAULTS, Findings, Verdict


def _findings() -> Findings:
    return Findings(lambda done, total: None)


def test_a_check_without_faults_passes_with_its_summary() -> None:
    outcome = _findings().outcome(3, "4 keys", 1.25)
    assert (outcome.verdict, outcome.summary, outcome.faults) == (Verdict.PASS, "4 keys", ())


def test_a_check_with_a_fault_fails_and_names_path_round_and_holder() -> None:
    findings = _findings()
    findings.add("a/b", "it is\nwrong.", number=2, holder=b"\xab" * 20)
    outcome = findings.outcome(3, "4 keys", 1.0)
    assert (outcome.verdict, outcome.summary) == (Verdict.FAIL, "")
    (fault,) = outcome.faults
    assert (fault.path, fault.round, fault.holder, fault.problem) == ("a/b", 2, "ab" * 20, "it is wrong")


def test_expectations_that_hold_are_no_faults() -> None:
    findings = _findings()
    findings.expect(True, "a", "wrong")
    assert findings.faults == []
    findings.expect(False, "a", "wrong")
    assert len(findings.faults) == 1


def test_errors_of_ours_become_faults_and_the_check_goes_on_but_bugs_do_not() -> None:
    findings = _findings()
    with findings.at("a", number=1):
        raise VerificationError("it does not fit.")
    assert [fault.problem for fault in findings.faults] == ["it does not fit"]
    with pytest.raises(ZeroDivisionError), findings.at("a"):
        _ = 1 // 0


def test_only_so_many_faults_are_kept_and_the_rest_are_counted() -> None:
    findings = _findings()
    for _ in range(MAX_FAULTS + 5):
        findings.add("a", "wrong")
    outcome = findings.outcome(1, "", 0.0)
    assert (len(outcome.faults), outcome.more_faults) == (MAX_FAULTS, 5)
