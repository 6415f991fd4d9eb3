"""The reference page lists the checks as they are."""

from __future__ import annotations

from pathlib import Path

from ledger.audit.checks.table import CHECKS

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "audit.md"


def test_the_reference_page_has_the_table_of_checks() -> None:
    text = PAGE.read_text("utf-8")
    for check in CHECKS:
        needs = ", ".join(map(str, check.needs))
        cells = [str(check.number), check.name, check.proves, needs]
        row = "| " + " | ".join(cells).rstrip() + " |"
        assert row in text
