"""The table of checks is complete and in order."""

from __future__ import annotations

from pkgutil import iter_modules

import ledger.audit.checks
from ledger.audit.checks.table import CHECKS
from ledger.audit.verify import RUNS


def test_checks_are_numbered_from_one_without_gaps_and_named_once() -> None:
    assert [check.number for check in CHECKS] == list(range(1, len(CHECKS) + 1))
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_a_check_builds_on_earlier_checks_only() -> None:
    assert all(need < check.number for check in CHECKS for need in check.needs)


def test_every_check_says_in_one_sentence_what_it_proves() -> None:
    assert all(check.proves.endswith(".") and check.proves.count(".") == 1 for check in CHECKS)


def test_every_check_has_a_module_of_its_name_and_nothing_else_lies_there() -> None:
    assert RUNS.keys() == {check.number for check in CHECKS}
    modules = {module.name for module in iter_modules(ledger.audit.checks.__path__)}
    assert modules == {check.name for check in CHECKS} | {"table"}
    for check in CHECKS:
        assert RUNS[check.number].__module__ == f"ledger.audit.checks.{check.name}"
