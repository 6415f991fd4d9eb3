"""How a command tells what is wrong: one line on the standard error, or one JSON object where ``--json`` was asked for."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from suture_fl.plain_text import one_line

__all__ = ["JSON_OPTION", "lenient_output", "one_line", "report", "silence", "starting"]

JSON_OPTION = "--json"
_RED, _PLAIN = "\x1b[31m", "\x1b[0m"


def lenient_output() -> None:
    r"""Let the output streams write out what their encoding lacks (``\xd6``), instead of failing.

    A stream that was closed when the process began (``>&-``) is sent nowhere: it would be None, and its descriptor
    would go to the next file that is opened, so that what other libraries write there would end in it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - stays open as long as the process
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def starting(*, quiet: bool) -> None:
    """Say that something happens, before seconds of imports; only to a person at a terminal."""
    if not quiet and sys.stderr.isatty():
        sys.stderr.write("starting ...\n")
        sys.stderr.flush()


def report(message: str, *, fix: str, kind: str, as_json: bool) -> None:
    """Print an error.

    Args:
        message: What is wrong.
        fix: What to do about it, or empty.
        kind: The error's class, for programs.
        as_json: Print a JSON object on the standard output.
    """
    if as_json:
        import json

        line = json.dumps({"error": message, "fix": fix, "kind": kind})
        if not _written(sys.stdout, line):
            _written(sys.stderr, line)
        return
    import logging

    from suture_fl.json_log import as_logged

    text = one_line(f"error: {message} {fix}".rstrip())
    line = as_logged(text, logging.ERROR)
    colour = line == text and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    _written(sys.stderr, f"{_RED}{line}{_PLAIN}" if colour else line)


def _written(stream: TextIO, line: str) -> bool:
    """Write a line; return whether it could be."""
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except OSError:
        silence(stream)
        return False
    return True


def silence(stream: TextIO) -> None:
    """Send what a stream still holds nowhere, so that the interpreter does not fail with it at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
    except (OSError, ValueError):  # a stream without a descriptor, or a closed one
        return
