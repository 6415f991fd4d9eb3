from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

MODULES = ("coordinator.cli", "clients.cli", "ledger.audit.cli")


@pytest.mark.parametrize("module", MODULES)
def test_every_command_tells_its_version_in_one_line(module: str) -> None:
    program = f"import sys; sys.argv = ['x', '--version']; from {module} import main; main()"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"suture-fl {version('suture-fl')} on Python ")
    assert result.stdout.count("\n") == 1


@pytest.mark.parametrize("module", MODULES)
def test_an_unknown_option_of_the_root_is_still_wrong_usage(module: str) -> None:
    program = f"import sys; sys.argv = ['x', '--versoin', '--json']; from {module} import main; main()"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert json.loads(result.stdout)["kind"] == "NoSuchOption"
