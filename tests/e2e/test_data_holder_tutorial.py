"""The data holder's tutorial: every command of it, in its order, as it stands."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.architecture.sources import ROOT
from tests.e2e.conftest import Commands

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PAGE = ROOT / "docs" / "tutorials" / "data-holder.md"
SAYS = {
    "doctor": "leftovers",
    "status": "left the house",
    "log show": "frame",
    "log verify": "whole",
    "policy check": "Allowed.",
    "data add": "cardiology: ",
    "data list": "cardiology",
    "data prove": "suture-record-opening-v1",
    "data erase": "Erased",
}

NAMED = ["The SuperLink was not looked at", "The relay was not looked at"]
"""What the page says that the doctor warns of."""


def warnings(said: str) -> list[str]:
    """Return the beginnings of the doctor's warnings; room on the disk is this machine's."""
    rows = [line.split(maxsplit=3) for line in said.splitlines() if re.match(r" *[0-9]+ ", line)]
    return [
        text.partition(":")[0] for _, check, grade, text in rows if grade == "warning" and check != "disk"
    ]


def test_the_tutorial_runs_as_written(commands: Commands) -> None:
    page = PAGE.read_text("utf-8")
    assert "here two say that SuperLink and relay were not looked at" in " ".join(page.split())
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 11
    for line in lines:
        words = shlex.split(line)
        result = commands.run(*words)
        assert (result.returncode, result.stderr) == (0, ""), (line, result.stdout, result.stderr)
        expected = next((text for command, text in SAYS.items() if command in line), "")
        assert expected in result.stdout, line
        if words[1] == "doctor":
            assert warnings(result.stdout) == NAMED
