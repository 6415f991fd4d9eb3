"""``suture-node doctor``: is this node ready, and if not, what to do."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Annotated

import typer

from clients.cli.arguments import Folder

EPILOG = "Examples: suture-node doctor node   |   suture-node doctor node --only ledger,member --json"
_COLOURS = {"ok": "\x1b[32m", "warning": "\x1b[33m", "failure": "\x1b[31m"}
_PLAIN = "\x1b[0m"


def doctor(
    folder: Folder,
    only: Annotated[
        str, typer.Option(help="Make only these checks: names or numbers, separated by commas.")
    ] = "",
    timeout: Annotated[float, typer.Option(min=0.1, help="Longest wait for one partner, in seconds.")] = 5.0,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print no colours; so does NO_COLOR.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look at everything this node needs, and say how to mend what is wrong; changes nothing.

    Software, clashing names, clock, disk, permissions, keys, data, policy, ledger, membership, copy of the ledger, register
    and logbook, partners, leftovers. Exit code 0 means that nothing failed, 1 that something did; warnings do not count.
    """
    from clients.node.doctor.patient import Grade, Patient
    from clients.node.doctor.table import chosen, examine, worst
    from suture_fl.report import one_line

    checks = chosen(only)
    findings = examine(Patient(folder=folder, now=int(time.time()), timeout_s=timeout), checks)
    bad = worst(findings) is Grade.FAILURE
    if as_json:
        rows = [
            {
                "number": check.number,
                "check": check.name,
                "grade": finding.grade.value,
                "found": finding.found,
                "mend": finding.mend,
            }
            for check, finding in findings
        ]
        typer.echo(json.dumps({"healthy": not bad, "findings": rows}))
        raise typer.Exit(1 if bad else 0)
    colour = sys.stdout.isatty() and not no_color and not os.environ.get("NO_COLOR")
    for check, finding in findings:
        shown = f"{finding.grade.value:7}"
        if colour:
            shown = f"{_COLOURS[finding.grade.value]}{shown}{_PLAIN}"
        typer.echo(one_line(f"{check.number:2} {check.name:9} "), nl=False)
        typer.echo(shown, nl=False)
        typer.echo(one_line(f"  {finding.found}"))
        if finding.mend:
            typer.echo(one_line(f"{'':22}mend: {finding.mend}"))
    raise typer.Exit(1 if bad else 0)
