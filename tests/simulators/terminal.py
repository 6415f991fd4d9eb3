"""The three programs, started in this process by their own entry points: what a person types, and what the screen shows."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from suture_fl import commandline

PROGRAMS = {"suture": "coordinator.cli", "suture-node": "clients.cli", "suture-audit": "ledger.audit.cli"}
CHEAP = 1 << 10
"""scrypt's N for keys that are worth nothing."""


@dataclass(frozen=True)
class Shown:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on the standard output."""
        return json.loads(self.out)


class Terminal:
    """Runs commands and keeps all that they ever printed.

    Args:
        monkeypatch: Puts arguments and streams in place.
        capsys: Takes what is printed.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self.everything = ""
        monkeypatch.setattr(commandline.INTERRUPTIONS, "install", lambda: None)
        monkeypatch.setattr("ledger.signer.SCRYPT_COST", CHEAP)
        monkeypatch.setattr("coordinator.cli.keys.SCRYPT_COST", CHEAP)
        monkeypatch.setenv("COLUMNS", "200")

    def run(self, program: str, *arguments: str | Path, typed: str | None = None) -> Shown:
        """Run a command to its end; without ``typed`` there is no terminal to ask at.

        Args:
            program: Which one.
            arguments: Its arguments.
            typed: What the person answers.
        """
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "argv", [program, *map(str, arguments)])
        self._monkeypatch.setattr(sys, "stdin", Keyboard(typed))
        with pytest.raises(SystemExit) as ended:
            import_module(PROGRAMS[program]).main()
        out, err = self._capsys.readouterr()
        self.everything += out + err
        code = ended.value.code
        assert isinstance(code, int)
        return Shown(code, out, err)

    def done(self, program: str, *arguments: str | Path) -> dict[str, Any]:
        """Run a command that must succeed, with ``--json``; return its answer."""
        shown = self.run(program, *arguments, "--json")
        assert shown.code == 0, shown.out + shown.err
        return shown.json

    def sent(self, program: str, *arguments: str | Path) -> dict[str, Any]:
        """As :meth:`done`, for a command that sends something."""
        return self.done(program, *arguments, "--yes")

    def refused(self, program: str, *arguments: str | Path, code: int = 1) -> str:
        """Run a command that must fail in one line; return the line."""
        shown = self.run(program, *arguments)
        assert shown.code == code, shown.out + shown.err
        (line,) = [line for line in shown.err.splitlines() if line.startswith("error: ")]
        assert shown.err.splitlines()[-1] == line and "Traceback" not in shown.err
        return line


class Keyboard(io.StringIO):
    """A standard input: of a person who types, or of no terminal at all."""

    def __init__(self, typed: str | None) -> None:
        super().__init__(typed or "")
        self._is_person = typed is not None

    def isatty(self) -> bool:
        return self._is_person
