"""The reference page and the threat model list the light checks as they are."""

from __future__ import annotations

import re
from pathlib import Path

from ledger.light.table import CHECKS

DOCS = Path(__file__).parents[4] / "docs"


def test_checks_are_numbered_from_one_without_gaps_and_named_once() -> None:
    assert [check.number for check in CHECKS] == list(range(1, len(CHECKS) + 1))
    assert len({check.name for check in CHECKS}) == len(CHECKS)


def test_the_reference_page_has_the_table_of_checks() -> None:
    text = (DOCS / "reference" / "light.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (.+?) \| .+ \|$", text, re.MULTILINE)
    assert rows == [(str(check.number), check.name, check.proves) for check in CHECKS]


def test_the_threat_model_has_the_checks_in_order() -> None:
    text = (DOCS / "explanation" / "threat-model.md").read_text("utf-8")
    section = text.split("### Light:", 1)[1].split("\n\n", 2)[1]
    rows = re.findall(r"^\| L(\d+) (\w+) \| .+ \|$", section, re.MULTILINE)
    assert rows == [(str(check.number), check.name) for check in CHECKS]


def test_every_check_is_made_in_the_code_and_carries_its_number() -> None:
    code = "".join(
        (DOCS.parent / "ledger" / "light" / name).read_text("utf-8") for name in ("verify.py", "records.py")
    )
    assert set(re.findall(r'"""\((\d+)\) ', code)) == {str(check.number) for check in CHECKS}
