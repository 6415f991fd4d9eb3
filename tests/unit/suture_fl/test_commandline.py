"""Every way in which a command ends: its exit code, and what it says."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Callable

import pytest
import typer

from fl_core.errors import InputError
from suture_fl import commandline
from suture_fl.commandline import explain, run


def fail_with(error: BaseException) -> Callable[[], None]:
    def command(count: int = typer.Option(1, min=1), as_json: bool = typer.Option(False, "--json")) -> None:
        raise error

    return command


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run a command that fails with an error and return its exit code."""
    monkeypatch.setattr(commandline.INTERRUPTIONS, "install", lambda: None)

    def call(error: BaseException, *arguments: str) -> object:
        app = typer.Typer(name="program")
        app.command()(fail_with(error))
        monkeypatch.setattr(commandline.sys, "argv", ["program", *arguments])
        with pytest.raises(SystemExit) as caught:
            run(app)
        return caught.value.code

    return call


NOTED = InputError("it is wrong.", fix="Mend it.")
NOTED.add_note("What was made is in a folder.")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("it is wrong.", fix="Mend it."), 1, "error: it is wrong. Mend it."),
        (NOTED, 1, "error: it is wrong. Mend it. What was made is in a folder."),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            1,
            "error: No space left on device. Make some room",
        ),
        (OSError(errno.EACCES, "Permission denied", "a\nb"), 1, "error: Permission denied (a\\nb). Check"),
        (
            sqlite3.OperationalError("database or disk is full"),
            1,
            "error: a database file failed: database or",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Exit(3), 3, ""),
    ],
)
def test_an_end_is_a_code_and_at_most_one_line(
    status: Callable[..., object],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    line: str,
) -> None:
    assert status(error) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line) and err.count("\n") == bool(line)


def test_wrong_usage_is_one_line_and_the_code_2(
    status: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(AssertionError(), "--count", "0") == 2
    err = capsys.readouterr().err
    assert err == "error: Invalid value for '--count': 0 is not in the range x>=1. See `program --help`.\n"


def test_a_misspelt_command_is_asked_about_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commandline.INTERRUPTIONS, "install", lambda: None)
    app = typer.Typer(name="program")
    for name in ("launch", "watch"):
        app.command(name)(fail_with(AssertionError()))
    monkeypatch.setattr(commandline.sys, "argv", ["program", "lanch"])
    with pytest.raises(SystemExit):
        run(app)
    err = capsys.readouterr().err
    assert err.count("id you mean") == 1 and "'launch'" in err


def test_wrong_usage_is_an_object_for_programs(
    status: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(AssertionError(), "--nonsense", "--json") == 2
    said = json.loads(capsys.readouterr().out)
    assert said["kind"] == "NoSuchOption" and "--nonsense" in said["error"] and "--help" in said["fix"]


def test_a_bug_is_not_hidden(status: Callable[..., object]) -> None:
    with pytest.raises(AssertionError):
        status(AssertionError())


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (sqlite3.OperationalError("database or disk is full"), "room"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "can be written"),
        (sqlite3.OperationalError("unable to open database file"), "permissions"),
        (sqlite3.DatabaseError("database disk image is malformed"), "nobody altered"),
        (OSError(errno.ENAMETOOLONG, "File name too long"), "shorter path"),
        (OSError(errno.EIO, "Input/output error"), "try again"),
    ],
)
def test_every_trouble_of_the_system_comes_with_a_fix(error: OSError | sqlite3.Error, fix: str) -> None:
    message, said = explain(error)
    assert message.endswith(".") and fix in said
