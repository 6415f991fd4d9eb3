"""A package of somebody else in the place of one of ours is noticed before it is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suture_fl.start import PACKAGES, foreign_package

ROOT = Path(__file__).parents[3]


def test_our_own_packages_are_found() -> None:
    assert foreign_package() is None


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("command", ["suture", "suture_node", "suture_audit"])
def test_a_package_of_the_same_name_is_refused_in_one_line_and_not_imported(
    tmp_path: Path, name: str, command: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise SystemExit('imported')")
    result = subprocess.run(
        [sys.executable, "-P", "-c", f"from suture_fl.start import {command}; {command}()", "--help"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: Python finds another package {name!r} before Suture's")
    assert "PYTHONPATH" in result.stderr and result.stderr.count("\n") == 1


def test_a_folder_without_code_is_not_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clients").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert foreign_package() is None


def test_the_entry_points_load_nothing_that_takes_time() -> None:
    program = (
        "import sys; before = set(sys.modules); import suture_fl.start; print(*set(sys.modules) - before)"
    )
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    ours = {name for name in loaded if name.split(".")[0] not in sys.stdlib_module_names}
    assert ours == {
        "suture_fl",
        *(f"suture_fl.{name}" for name in ("start", "interruptions", "plain_text", "report")),
    }
