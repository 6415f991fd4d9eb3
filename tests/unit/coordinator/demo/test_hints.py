"""Commands on the screen can be copied and run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from coordinator.demo import hints
from coordinator.demo.hints import command, safe_path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that is not on the path, in which ``suture`` runs."""
    folder = tmp_path / "an environment" / "bin"
    folder.mkdir(parents=True)
    for name in ("suture", "suture-audit"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(hints.sys, "argv", [str(folder / "suture")])
    monkeypatch.setenv("PATH", "/nowhere")
    return folder


def test_a_program_that_is_not_on_the_path_is_named_by_its_path(installed: Path) -> None:
    assert shlex.split(command("suture-audit", "verify", "a folder")) == [
        str(installed / "suture-audit"),
        "verify",
        "a folder",
    ]


def test_a_program_on_the_path_is_named_alone(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(installed))
    assert command("suture-audit", "verify", "run") == "suture-audit verify run"


def test_another_program_of_that_name_on_the_path_is_not_meant(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suture-audit").write_text("#!/bin/sh\n")
    (tmp_path / "suture-audit").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shlex.split(command("suture-audit"))[0] == str(installed / "suture-audit")


def test_a_program_in_the_current_folder_is_named_with_the_folder(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(installed)
    monkeypatch.setattr(hints.sys, "argv", ["./suture"])
    assert command("suture-audit") == "./suture-audit"


def test_a_path_is_not_taken_for_an_option() -> None:
    assert safe_path(Path("-x")) == "./-x"
    assert safe_path(Path("x")) == "x"
