"""The researcher's tutorial: every block of it, in its order, as it stands, in one shell."""

from __future__ import annotations

import os
import re
import sys

import pytest

from tests.architecture.sources import ROOT
from tests.e2e.conftest import SCRIPTS, Commands

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

PAGE = ROOT / "docs" / "tutorials" / "researcher.md"
SAYS = {
    "suture launch slip.toml": ("line 3: 'rounds' is a whole number", "It was refused."),
    "suture launch run.toml --dry-run": (
        "The training code is the Flower app",
        "Dry run: nothing was written",
    ),
    "--timeout 1": (
        "0 of 4 consents came within 1 s; nothing is lost",
        "Consents are missing.",
        "0 of 4    0 of 3",
    ),
    "consent give": ("consent to the terms", "1-cleveland.pub"),
    "suture resume": ("4 of 4 holders consent.", "Started on the SuperLink"),
    "suture watch": ("Completed: 3 of 3 rounds made a model",),
    "suture fetch": ("13 checks of the audit passed", "All 13 checks passed.", "round 3"),
    "suture abort": ("Closes the run on the ledger", "can be refunded from"),
}


def test_the_tutorial_runs_as_written(commands: Commands) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 14
    program = "\n".join(f"{block}\necho '=== block {n}'" for n, block in enumerate(blocks))
    path = os.pathsep.join([str(SCRIPTS), os.environ["PATH"]])
    script = commands.temporary / "tutorial.sh"
    script.write_text(f"set -e\ncd {commands.temporary}\nmkdir empty\ncd empty\n{program}")
    done = commands.shell(script, PATH=path, PYTHONPATH=str(ROOT))
    said = re.split(r"=== block \d+\n", done.stdout)
    assert done.returncode == 0, "\n".join(said[-2:])
    for command, expected in SAYS.items():
        [number] = [n for n, block in enumerate(blocks) if command in block]
        for text in expected:
            assert text in said[number], (command, said[number])
