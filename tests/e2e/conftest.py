"""The installed commands as a person starts them, in an environment of their own, and a mark to find what they leave behind."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.simulators.patience import ending, output_of, patient
from tests.simulators.process_tree import MARK, end_marked

SCRIPTS = Path(sysconfig.get_path("scripts"))
TIMEOUT_S, SCRIPT_S = 900.0, 1800.0


@dataclass(frozen=True)
class Commands:
    """Starts ``suture`` and ``suture-audit``.

    Attributes:
        temporary: Where they put what they make for themselves.
        mark: In the environment of every process that they start.
    """

    temporary: Path
    mark: str

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a pipe without colours that anybody asked for."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS")
        }
        return {**kept, MARK: self.mark, "TMPDIR": str(self.temporary), **more}

    def start(self, command: str, *arguments: str | Path, **more: str) -> subprocess.Popen[str]:
        """Start a command with pipes."""
        return subprocess.Popen(
            [SCRIPTS / command, *arguments],
            env=self.environment(**more),
            cwd=self.temporary,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_signals,  # noqa: PLW1509 - the child calls signal.signal only, which takes no lock
        )

    def run(self, command: str, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return finished(self.start(command, *arguments, **more))

    def shell(self, script: Path, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a script in ``bash`` to its end; both outputs in the order in which they came."""
        return subprocess.run(
            ["bash", script], env=self.environment(**more), cwd=self.temporary, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=patient(SCRIPT_S), check=False,
            preexec_fn=hear_signals,
        )  # fmt: skip


def hear_signals() -> None:
    """Take what a person at a terminal has: tests that run in the background, or under nohup, ignore signals."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Wait for a command and return what came of it."""
    with ending(process):
        out, err = output_of(process, TIMEOUT_S)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def commands() -> Iterator[Commands]:
    """Commands whose temporary folder has a path short enough for Unix sockets; nothing of them is left running."""
    with tempfile.TemporaryDirectory(prefix="suture-") as folder:
        one = Commands(Path(folder), secrets.token_hex(8))
        yield one
        end_marked(one.mark)


@dataclass(frozen=True)
class Kept:
    """A run of the demo that was kept, and what it printed."""

    folder: Path
    result: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def kept() -> Iterator[Kept]:
    """Two rounds, kept; made once for all tests, which leave it as it is."""
    with _demo("--rounds", "2") as one:
        yield one


@pytest.fixture(scope="session")
def deployed() -> Iterator[Kept]:
    """A round of real processes that log in JSON, kept; made once, likewise."""
    with _demo("--engine", "deployment", "--rounds", "1", SUTURE_JSON_LOGS="1") as one:
        yield one


@contextmanager
def _demo(*options: str, **environment: str) -> Iterator[Kept]:
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        commands = Commands(Path(name), secrets.token_hex(8))
        folder = Path(name) / "kept"
        words = ("demo", *options, "--json", "--keep", folder)
        yield Kept(folder, commands.run("suture", *words, **environment))
        end_marked(commands.mark)
