"""What a person does wrong with ``suture demo``, or finds wrong with the machine, is answered in one line.

Mistakes are answered before anything is made.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clients.comparison import bundled_csv
from tests.e2e.conftest import SCRIPTS, TIMEOUT_S, Commands, finished, hear_signals
from tests.simulators.patience import patient

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
    "a port without a use": Mistake(("--port", "9092"), "Add --engine deployment"),
    "a folder that is a file": Mistake(("--keep", "malformed.csv"), "not a folder"),
    "a folder that is not empty": Mistake(("--keep", "full"), "is not empty"),
    "a folder below a file": Mistake(("--keep", "malformed.csv/new"), "malformed.csv"),
    "a folder with a long name": Mistake(("--keep", "x" * 300), "File name too long"),
    "a folder whose name is no text": Mistake(("--keep", os.fsdecode(b"a\xffb")), "a\\udcffb is not UTF-8"),
    "a folder that others may write to": Mistake(("--keep", "shared"), "may write to it"),
    "a hospital twice": Mistake(("--hospitals", "cleveland,Cleveland,Hungary"), "names Cleveland twice"),
    "a CSV without patients": Mistake(("--data", "header.csv"), "has no patients. Add a line"),
    "no rounds": Mistake(("--rounds", "0"), "See `suture demo --help`", 2),
    "a round that is none": Mistake(("--drop", "-1"), "'--drop': -1 is not in the range", 2),
    "a seed that is none": Mistake(("--seed", "-1"), "'--seed': -1 is not in the range", 2),
    "an unknown option": Mistake(("--round", "2"), "No such option", 2),
    "no port": Mistake(("--port", "70000"), "'--port'", 2),
}
JSON = {
    "json": (("--hospitals", "2", "--json"), 1, "InputError", "2 were chosen", "--hospitals 3"),
    "json usage": (("--rounds", "0", "--json"), 2, "BadParameter", "'--rounds'", "suture demo --help"),
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
        (folder / "header.csv").write_text(HEADER)
        (folder / "shared").mkdir()
        (folder / "shared").chmod(0o777)
        (folder / "full").mkdir()
        (folder / "full" / "precious").write_text("data")
        before = listing(folder)
        commands = Commands(folder, "mistakes")
        arguments = {name: mistake.arguments for name, mistake in MISTAKES.items()}
        arguments |= {name: case[0] for name, case in JSON.items()}
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


@pytest.mark.parametrize("name", JSON)
def test_with_json_the_answer_is_one_json_object(answers: Answers, name: str) -> None:
    result = answers.results[name]
    _, status, kind, error, fix = JSON[name]
    assert (result.returncode, result.stderr) == (status, "")
    said = json.loads(result.stdout)
    assert said["kind"] == kind
    assert error in said["error"] and fix in said["fix"]


def test_no_answer_holds_escape_codes(answers: Answers) -> None:
    for name, result in answers.results.items():
        assert "\x1b" not in result.stdout + result.stderr, name


def test_no_mistake_leaves_a_file_or_a_folder(answers: Answers) -> None:
    assert answers.after == answers.before


# ---------------------------------------------------------------------- any name will do

AWKWARD = "-[bold] a#b%20c?d&e=f+g\n\N{HOSPITAL}"


def test_a_folder_and_hospitals_may_have_any_name_and_the_data_may_be_a_pipe(commands: Commands) -> None:
    _, *rows = bundled_csv().read_text().splitlines()
    complete = [row for row in rows if "" not in row.split(",")]
    names = ["[red]A[/red]", "\N{HOSPITAL}", "K\N{LATIN SMALL LETTER O WITH DIAERESIS}ln"]
    table = "\n".join(
        [bundled_csv().read_text().splitlines()[0]]
        + [",".join([names[i % 3], *row.split(",")[1:]]) for i, row in enumerate(complete)]
    )
    arguments = ["--hospitals", "3", "--rounds", "1", "--keep", AWKWARD, "--data", "/dev/stdin"]
    command = [SCRIPTS / "suture", "demo", *arguments]
    result = subprocess.run(
        command,
        input=table.encode(),
        cwd=commands.temporary,
        env=commands.environment(PYTHONIOENCODING="ascii", PATH="/usr/bin:/bin"),
        capture_output=True,
        check=False,
        timeout=patient(TIMEOUT_S),
    )
    out = result.stdout.decode("ascii")
    assert result.returncode == 0, result.stderr
    assert "[red]A[/red] 100" in out and "\\U0001f3e5" in out
    assert "13 of 13 checks pass" in out
    assert f"{SCRIPTS / 'suture-audit'} verify './-[bold]" in out
    assert commands.run("suture-audit", "verify", f"./{AWKWARD}").returncode == 0


# ---------------------------------------------------------------------- the machine's troubles


def small_files() -> None:
    """Let every write to a file beyond 60 kB fail, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def failing(commands: Commands, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [SCRIPTS / "suture", "demo", "--rounds", "1", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    environment = commands.environment(PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run(
        command, env=environment, text=True, check=False, timeout=patient(TIMEOUT_S), **pipes
    )


def test_a_full_disk_is_one_line_that_names_the_temporary_folder(commands: Commands) -> None:
    result = failing(commands, preexec_fn=small_files)
    (folder,) = commands.temporary.glob("suture-demo-*")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1, result.stderr
    assert str(folder) in result.stderr


def test_a_full_disk_is_one_object_with_json(commands: Commands) -> None:
    result = failing(commands, "--json", "--keep", str(commands.temporary / "run"), preexec_fn=small_files)
    assert (result.returncode, result.stderr) == (1, "")
    assert json.loads(result.stdout)["error"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_an_output_that_takes_nothing_is_one_line(commands: Commands) -> None:
    with open("/dev/full", "w") as full:
        result = failing(commands, stdout=full)
    assert result.returncode == 1
    assert result.stderr.startswith("error: No space left on device") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("seconds", [0.15, 0.5, 1.5])
def test_a_signal_during_the_start_is_one_word(
    commands: Commands, number: signal.Signals, seconds: float
) -> None:
    program = "from suture_fl.start import suture; print(flush=True); suture()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "demo"],
        env=commands.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_signals,  # noqa: PLW1509 - see there
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(number)
    result = finished(process)
    assert (result.returncode, result.stderr) == (128 + number, "interrupted\n")
    assert listing(commands.temporary) == []
