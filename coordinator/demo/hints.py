"""Commands that a person can copy from the screen and run, wherever Suture is installed."""

from __future__ import annotations

import shlex
import shutil
import sys
import sysconfig
from pathlib import Path


def command(program: str, *arguments: str) -> str:
    """Return a command line for a shell.

    A program that is not on the path is named by its path: it lies beside the one that runs now, or where this interpreter
    has its commands.

    Args:
        program: One of ours.
        arguments: Its arguments.
    """
    return shlex.join([_runnable(program), *arguments])


def _runnable(program: str) -> str:
    candidates = [Path(sys.argv[0]).with_name(program)] if sys.argv[0] else []
    candidates.append(Path(sysconfig.get_path("scripts")) / program)
    beside = next((path for path in candidates if path.is_file()), None)
    found = shutil.which(program)
    if found is not None and (beside is None or Path(found).samefile(beside)):
        return program
    return program if beside is None else str(beside) if beside.parent.name else f"./{beside}"


def safe_path(path: Path) -> str:
    """Return a path as an argument that is not taken for an option."""
    text = str(path)
    return f"./{text}" if text.startswith("-") else text
