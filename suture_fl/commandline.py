"""Runs a command line: a person's mistakes and the machine's troubles become one line and an exit code, never a traceback.

Exit codes that all commands share: 0 done; 1 failed; 2 wrong usage; 4 the ledger refused; 5 try again later; 128 + n ended by
signal n (130 for Ctrl-C).
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from typing import NoReturn

import click
import typer

from fl_core.errors import SutureError
from suture_fl.interruptions import INTERRUPTIONS, MESSAGE
from suture_fl.json_log import as_logged
from suture_fl.report import JSON_OPTION, lenient_output, report, silence

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 4
EXIT_TRY_AGAIN = 5
_STATUS = {
    "Reverted": EXIT_REFUSED,
    "ChainUnreachable": EXIT_TRY_AGAIN,
    "ChainBusy": EXIT_TRY_AGAIN,
    "ReceiptPending": EXIT_TRY_AGAIN,
}
"""Class of an error of :mod:`ledger.errors` -> exit code; by name, because this package imports nothing above it."""

_FIXES = {
    errno.ENOSPC: "Make some room where the command writes to, its output included.",
    errno.EDQUOT: "Make some room within your quota, or work on another disk.",
    errno.EFBIG: "Raise the limit on the size of files (ulimit -f).",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.ENOENT: "Check the path.",
    errno.EACCES: "Check the permissions.",
    errno.EPERM: "Check the permissions.",
    errno.EROFS: "Work in a folder that can be written.",
    errno.ENAMETOOLONG: "Choose a shorter path.",
}


def run(app: typer.Typer) -> NoReturn:
    """Run a command line with the arguments of this process, then end it."""
    INTERRUPTIONS.install()
    lenient_output()
    as_json = JSON_OPTION in sys.argv
    status = _run(app, as_json=as_json)
    try:
        sys.stdout.flush()
    except OSError as error:
        silence(sys.stdout)
        if status == 0:
            message = f"the output cannot be written: {explain(error)[0]}"
            report(message, fix="Send it elsewhere.", kind=type(error).__name__, as_json=as_json)
            status = EXIT_FAILED
    raise SystemExit(status)


def _run(app: typer.Typer, *, as_json: bool) -> int:
    """Run a command line and return the exit status."""
    command = typer.main.get_command(app)
    try:
        returned = command.main(prog_name=app.info.name, standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        returned = INTERRUPTIONS.status
    except click.UsageError as error:
        _report_usage(error, as_json=as_json)
        return EXIT_USAGE
    except SutureError as error:
        fix = " ".join([error.fix, *notes_of(error)]).strip()
        report(error.message, fix=fix, kind=type(error).__name__, as_json=as_json)
        return _STATUS.get(type(error).__name__, EXIT_FAILED)
    except (OSError, sqlite3.Error) as error:
        _report_system(error, as_json=as_json)
        return EXIT_FAILED
    if returned == 130:  # what typer makes of KeyboardInterrupt, whichever signal raised it
        returned = INTERRUPTIONS.status
    if returned == INTERRUPTIONS.status:
        sys.stderr.write(f"{as_logged(MESSAGE)}\n")
    return returned if isinstance(returned, int) else 0


def _report_usage(error: click.UsageError, *, as_json: bool) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":  # click 8.2 and later: the message is the whole help
        error.show()
        return
    fix = f"See `{error.ctx.command_path} --help`." if error.ctx is not None else ""
    told = (
        error.message if "Did you mean" in error.message else error.format_message()
    )  # once, not by both libraries
    message = " ".join(told.split())
    report(message, fix=fix, kind=type(error).__name__, as_json=as_json)


def _report_system(error: OSError | sqlite3.Error, *, as_json: bool) -> None:
    """Report what the operating system or the database refused."""
    message, fix = explain(error)
    fix = " ".join([fix, *notes_of(error)])
    report(message, fix=fix, kind=type(error).__name__, as_json=as_json)


def notes_of(error: BaseException) -> list[str]:
    """Return what was added to an error on its way up."""
    return list(getattr(error, "__notes__", ()))


def explain(error: OSError | sqlite3.Error) -> tuple[str, str]:
    """Return what is wrong and what to do about it."""
    if isinstance(error, OSError):
        reason = error.strerror or str(error) or type(error).__name__
        place = f" ({os.fsdecode(error.filename)})" if isinstance(error.filename, str | bytes) else ""
        return f"{reason}{place}.", _FIXES.get(error.errno or 0, "Mend that and try again.")
    reason = str(error)
    number = {"full": errno.ENOSPC, "readonly": errno.EROFS, "unable to open": errno.EACCES}
    fixes = [_FIXES[number[word]] for word in number if word in reason]
    fix = fixes[0] if fixes else "Check that its disk has room and works, and that nobody altered the file."
    return f"a database file failed: {reason}.", fix
