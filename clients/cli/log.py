"""``suture-node log``: what left the house, and whether the logbook of it is whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.arguments import Folder

app = typer.Typer(
    name="log",
    help="Show what left the house, and check that the logbook of it is whole.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command(
    epilog="Examples: suture-node log show /srv/suture/node   |   suture-node log show /srv/suture/node --kind frame --json"
)
def show(
    folder: Folder,
    last: Annotated[int, typer.Option(min=0, help="How many of the newest entries; 0 for all.")] = 20,
    kind: Annotated[
        str, typer.Option(help="Only entries of this kind, for instance frame or transaction.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what left the house: when, what kind, for which run and round, how many bytes, their SHA-256, to whom.

    The logbook holds no data and no key. All lines are checked while they are read.
    """
    from clients.node.gateway_lines import KINDS, lines_by_digest, told
    from clients.node.logbook import read_logbook, torn_words
    from fl_core.errors import InputError
    from ledger.logbook import Kind
    from suture_fl.report import one_line

    if kind and kind not in {known.value for known in Kind}:
        names = ", ".join(sorted(known.value for known in Kind))
        raise InputError(f"there is no kind {kind!r} of entries.", fix=f"The kinds are {names}.")
    reading = read_logbook(folder)
    entries = [entry for entry, _ in reading if kind in ("", entry.kind)]
    shown = entries[-last:] if last else entries
    lines = lines_by_digest(folder) if any(entry.kind in KINDS for entry in shown) else {}
    detail = {entry.n: told(lines[entry.digest][0]) for entry in shown if entry.digest in lines}
    if as_json:
        from dataclasses import asdict

        said = [
            asdict(entry) | ({"gateway": detail[entry.n]} if entry.n in detail else {}) for entry in shown
        ]
        typer.echo(json.dumps({"entries": said, "left_out": len(entries) - len(shown)}))
        return
    if not shown and not reading.torn:
        none = f"There is no entry of the kind {kind}." if kind else "Nothing left the house yet."
        typer.echo(one_line(none))
    if len(shown) < len(entries):
        typer.echo(one_line(f"({len(entries) - len(shown)} older entries; --last 0 shows all)"))
    for entry in shown:
        when = datetime.fromtimestamp(entry.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
        place = f"run {entry.run[:8]} round {entry.round}" if entry.run else ""
        receiver = f"0x{entry.to[:8]}" if len(entry.to) == 40 else entry.to
        line = (
            f"{entry.n:6} {when} {entry.kind:12} {entry.size:>12,} bytes to {receiver or 'nobody':10} "
            f"sha256 {entry.digest[:16]} {place or detail.get(entry.n, '')}"
        )
        typer.echo(one_line(line.rstrip()))
    if reading.torn:
        typer.echo(one_line(f"WARNING  {torn_words(reading.torn)}"))


@app.command(
    epilog="Examples: suture-node log verify /srv/suture/node   |   suture-node log verify /srv/suture/node --in run/public"
)
def verify(
    folder: Folder,
    public: Annotated[
        Path | None,
        typer.Option(
            "--in",
            metavar="DIR",
            help="A run's public folder: compare with what was signed and archived, too.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no line of the logbook was altered, removed, added or moved.

    Compares it with the gateway's lines in outgoing.jsonl, too, and with
    the once-only register: what the logbook says was sent and the register
    does not know is the mark of a register that was restored from a backup.
    With --in, compares it with the heads that each contribution signed.
    Exit code 1 means that something is wrong. A last line that a crash cut
    off is a warning.
    """
    from clients.node.logbook import FILE, torn_words
    from clients.node.logbook_check import look_at_logbook
    from ledger.audit.screen import lost_weight
    from suture_fl.report import one_line

    looked = look_at_logbook(folder)
    count, head = len(looked.entries), looked.head.hex()
    problems = [error.message for error in looked.errors] + [*looked.rolled_back, *looked.gateway]
    signed = 0
    lost: tuple[int, ...] = ()
    if public is not None:
        from clients.node.logbook import account_of
        from ledger.audit.logbook import verify_logbook

        report = verify_logbook((folder / FILE).resolve(), public, account_of(folder))
        signed = max(report.anchors.values(), default=0)
        problems += [fault.problem for fault in report.faults]
        lost = report.weights_lost
    if as_json:
        said = {"entries": count, "head": head, "signed_for": signed, "weights_lost": lost}
        typer.echo(json.dumps({**said, "torn": looked.torn, "problems": problems}))
    else:
        for problem in problems:
            typer.echo(one_line(f"FAULT  {problem}"))
        if not problems:
            typer.echo(one_line(f"{count} entries, whole. Newest head: {head or '-'}"))
            if public is not None:
                typer.echo(one_line(f"The first {signed} are under signed contributions of that run."))
        for number in lost:
            typer.echo(one_line(lost_weight(number)))
        if looked.torn:
            typer.echo(one_line(f"WARNING  {torn_words(looked.torn)}"))
    raise typer.Exit(1 if problems else 0)
