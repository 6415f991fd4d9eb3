"""What a person does wrong with ``suture demo`` is answered in one line, before anything is made."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.conftest import Commands, finished

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Mistake:
    """Arguments, a part of the answer, and the exit code."""

    arguments: tuple[str, ...]
    answer: str
    status: int = 1


MISTAKES = {
    "missing CSV": Mistake(("--data", "nowhere.csv"), "nowhere.csv cannot be read"),
    "malformed CSV": Mistake(("--data", "malformed.csv"), "malformed.csv"),
    "a cell that is no number": Mistake(("--data", "cell.csv"), "line 2"),
    "too few hospitals": Mistake(("--hospitals", "2"), "needs 3 hospitals; 2 were chosen"),
    "too few after one dies": Mistake(
        ("--hospitals", "3", "--drop", "1", "--rounds", "2"), "--drop takes one away"
    ),
    "a hospital that does not exist": Mistake(
        ("--hospitals", "Cleveland,Nowhere,Hungary"), "There are: Cleveland"
    ),
    "a drop after the last round": Mistake(
        ("--drop", "9", "--rounds", "2"), "one of the 2 rounds, not round 9"
    ),
    "an unknown engine": Mistake(("--engine", "cloud"), "'local' or 'deployment', not 'cloud'"),
    "a port in use": Mistake(("--engine", "deployment", "--port", "{port}"), "Port {port} is in use"),
    "a folder that is a file": Mistake(("--keep", "malformed.csv"), "not a folder"),
    "a folder that is not empty": Mistake(("--keep", "full"), "is not empty"),
    "a folder below a file": Mistake(("--keep", "malformed.csv/new"), "malformed.csv"),
}
JSON = ("--hospitals", "2", "--json")
USAGE = {
    "no rounds": ("--rounds", "0"),
    "an unknown option": ("--round", "2"),
    "no port": ("--port", "70000"),
}

HEADER = "hospital,age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,num\n"


@dataclass(frozen=True)
class Answers:
    """What came of all mistakes, made at the same time, and what was there before and after."""

    results: dict[str, subprocess.CompletedProcess[str]]
    before: list[str]
    after: list[str]
    port: int


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def answers() -> Iterator[Answers]:
    with tempfile.TemporaryDirectory(prefix="suture-") as name, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        folder = Path(name)
        (folder / "malformed.csv").write_text("hospital,age\nSomewhere,50,60\n")
        (folder / "cell.csv").write_text(HEADER + "Somewhere,old,1,1,120,200,0,0,150,0,1,0\n")
        (folder / "full").mkdir()
        (folder / "full" / "precious").write_text("data")
        before = listing(folder)
        commands = Commands(folder, "mistakes")
        arguments = {name: mistake.arguments for name, mistake in MISTAKES.items()} | USAGE | {"json": JSON}
        started = {
            name: commands.start("suture", "demo", *(part.format(port=port) for part in parts))
            for name, parts in arguments.items()
        }
        results = {name: finished(process) for name, process in started.items()}
        yield Answers(results, before, listing(folder), port)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_in_one_line_that_says_what_is_wrong(answers: Answers, name: str) -> None:
    result, mistake = answers.results[name], MISTAKES[name]
    assert result.returncode == mistake.status
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert mistake.answer.format(port=answers.port) in result.stderr


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage_exits_with_2_and_without_a_traceback(answers: Answers, name: str) -> None:
    result = answers.results[name]
    assert (result.returncode, result.stdout) == (2, "")
    assert "Usage: suture demo" in result.stderr
    assert "Traceback" not in result.stderr


def test_with_json_the_answer_is_one_json_object(answers: Answers) -> None:
    result = answers.results["json"]
    assert (result.returncode, result.stderr) == (1, "")
    said = json.loads(result.stdout)
    assert said["kind"] == "InputError"
    assert "2 were chosen" in said["error"] and "--hospitals 3" in said["fix"]


def test_no_answer_holds_escape_codes(answers: Answers) -> None:
    for name, result in answers.results.items():
        assert "\x1b" not in result.stdout + result.stderr, name


def test_no_mistake_leaves_a_file_or_a_folder(answers: Answers) -> None:
    assert answers.after == answers.before
