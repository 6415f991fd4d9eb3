"""``suture status``, ``suture watch`` and ``suture nodes``: looking at launched runs; they change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.launch import RunFolder
from ledger.views.binding import AsJson

if TYPE_CHECKING:
    from coordinator.launch.nodes import Nodes
    from coordinator.store.events import Event

STATUS = "Example: suture status runs/heart --json"
WATCH = "Example: suture watch runs/heart"
NODES = "Example: suture nodes runs/heart"


def status(
    run: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="The run's folder; without it all runs.", show_default=False),
    ] = None,
    place: Annotated[
        Path, typer.Option("--in", help="Folder in which, and in whose folder runs, all runs are looked for.")
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """Show how far a launched run has come, or all of them: step, consents, rounds on the ledger, newest event."""
    from coordinator.launch.overview import facts_of, launched, row
    from coordinator.launch.state import LaunchFolder
    from fl_core.errors import InputError
    from ledger.views.window import Answer, facts, show

    if run is not None:
        data = facts_of(LaunchFolder(run))
        told = {name: "-" if value in (None, "") else value for name, value in data.items()}
        show(Answer(data, facts(told | {"event": _newest(data["event"])})), as_json=as_json)
        return
    if not place.is_dir():
        raise InputError(f"{place} is no folder.", fix="Give the folder of the run files to --in.")
    rows = [row(folder) for folder in launched(place)]
    lines = _table(rows) if rows else [f"No run was launched in {place.resolve()}."]
    show(Answer({"runs": rows}, lines), as_json=as_json)


def _newest(event: Event | None) -> str:
    """Return an event in words: its kind, round, time, and reason if it has one; the whole of it is in the JSON."""
    if event is None:
        return "-"
    from ledger.views.window import utc
    from suture_fl.report import one_line

    number = f", round {event['round']}" if "round" in event else ""
    reason = f": {event['reason']}" if "reason" in event else ""
    return one_line(f"{event['event']}{number}, {utc(int(event['at']))}{reason}")


def _table(rows: list[dict[str, Any]]) -> list[str]:
    from ledger.views.window import table

    cells = [["folder", "step", "ledger", "consents", "rounds"]]
    for one in rows:
        if one["problem"]:
            cells.append([one["folder"], one["problem"], "", "", ""])
            continue
        rounds = "" if one["rounds"] is None else f"{one['finalised']} of {one['rounds']}"
        consents = f"{one['consents']} of {one['wanted']}"
        cells.append([one["folder"], one["step"], one["state"] or "not there", consents, rounds])
    return table(cells)


def watch(run: RunFolder, as_json: AsJson = False) -> None:
    """Follow a launched run until it ends: consents, contributions, rounds; Ctrl-C ends the watching, never the run.

    Exit code 0 if the run completed all its rounds. With --json one event
    a line, from the run's beginning; the last one is "ended".
    """
    import json

    from rich.console import Console

    from coordinator.errors import CoordinatorError
    from coordinator.launch.state import LaunchFolder
    from coordinator.launch.watch import Watch
    from coordinator.launch.watch_screen import WatchScreen
    from suture_fl.report import one_line

    folder = LaunchFolder(run)
    folder.read()
    ended: Event = {}
    console = Console(quiet=as_json)
    with WatchScreen(console, _rounds(folder.launch / "terms.json")) as screen:
        for event in Watch(folder).events():
            ended = event
            if as_json:
                typer.echo(json.dumps(event))
            else:
                screen.show(event)
    done = f"{ended['finalised']} of {ended['rounds']} rounds made a model"
    if complete(ended):
        if not as_json:
            typer.echo(
                one_line(f"Completed: {done}. Fetch it: suture fetch {run} {run.resolve().name}-model")
            )
        return
    if as_json:
        raise typer.Exit(1)
    again = "It was aborted." if ended["status"] == "aborted" else f"Go on: suture resume {run}"
    raise CoordinatorError(f"The run ended as {ended['status']!r}; {done}.", fix=again)


def complete(ended: Event) -> bool:
    """Return whether all rounds made a model; that the run was closed since, or its app died after the last one, is no failure."""
    return bool(ended["rounds"]) and ended["finalised"] == ended["rounds"]


def _rounds(terms: Path) -> int:
    from fl_core.protocol.terms import MAX_TERMS, Terms
    from ledger.files import read_plain

    return Terms.decode(read_plain(terms, MAX_TERMS)).rounds


def nodes(run: RunFolder, as_json: AsJson = False) -> None:
    """Show the SuperLink's nodes beside the ledger's holders: who is connected, since when, and who consents to the run.

    A node's holder is known once the run has begun; before that its key
    file's name is shown.
    """
    from dataclasses import asdict

    from coordinator.launch.nodes import nodes_of
    from coordinator.launch.state import LaunchFolder
    from ledger.views.window import Answer, show

    found = nodes_of(LaunchFolder(run))
    data = {"nodes": [asdict(row) for row in found.rows], "superlink": found.away or "answers"}
    show(Answer(data, _lines(found)), as_json=as_json)


def _lines(found: Nodes) -> list[str]:
    from ledger.views.window import table

    cells = [["account", "name", "consents", "keys", "node", "status", "since", "called the relay"]]
    for row in found.rows:
        known = bool(row.account)
        consents, keys = ("yes" if row.consents else "no"), ("yes" if row.keys else "no")
        cells.append([
            row.account or "not known yet", row.name, consents if known else "", keys if known else "",
            row.node, row.status, row.since, row.relay,
        ])  # fmt: skip
    return [*table(cells), *([f"SuperLink: {found.away}"] if found.away else [])]
