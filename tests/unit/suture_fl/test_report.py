"""Errors are one line, whatever they quote."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from suture_fl import report as module
from suture_fl.report import lenient_output, one_line, report


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Köln 🏥 [red]", "Köln 🏥 [red]"),
        ("a\nb\r", "a\\nb\\r"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\udcffb", "a\\udcffb"),
    ],
)
def test_text_is_shown_in_one_line_without_escape_codes(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_an_error_is_one_line_on_the_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    report("a\nfolder.", fix="Mend it.", kind="InputError", as_json=False)
    assert capsys.readouterr() == ("", "error: a\\nfolder. Mend it.\n")


def test_an_error_for_a_program_is_an_object_on_the_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    report("a\nfolder.", fix="", kind="InputError", as_json=True)
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"error": "a\nfolder.", "fix": "", "kind": "InputError"}, "")


def test_an_object_that_cannot_be_written_goes_to_the_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.sys, "stdout", Full())
    report("full.", fix="", kind="OSError", as_json=True)
    assert json.loads(capsys.readouterr().err)["error"] == "full."


def test_characters_that_the_terminal_lacks_are_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(module.sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    lenient_output()
    module.sys.stdout.write("Ö")
    module.sys.stdout.flush()
    assert raw.getvalue() == b"\\xd6"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_whose_streams_are_closed_succeeds_and_no_file_takes_their_place(
    tmp_path: Path, closed: str
) -> None:
    made = tmp_path / "made"
    code = (
        "import os, sys; from suture_fl.report import lenient_output; lenient_output(); "
        f"made = os.open({str(made)!r}, os.O_CREAT | os.O_WRONLY); "
        "print('out', flush=True); print('err', file=sys.stderr, flush=True); sys.exit(0 if made > 2 else 9)"
    )
    command = shlex.join([sys.executable, "-c", code])
    assert subprocess.run(["sh", "-c", f"exec {command} {closed}"], check=False).returncode == 0
    assert made.read_bytes() == b""
