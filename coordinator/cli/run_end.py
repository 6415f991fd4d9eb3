"""``suture fetch`` and ``suture abort``: how a launched run ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coordinator.cli.launch import RunFolder
from ledger.desk.options import DryRun, Yes
from ledger.views.binding import AsJson

if TYPE_CHECKING:
    from coordinator.launch.abort import Standing
    from coordinator.launch.state import LaunchState
    from ledger.records import Run
    from ledger.views.runs import Money

FETCH = "Example: suture fetch runs/heart heart-model"
ABORT = "Example: suture abort runs/heart --dry-run"


def fetch(
    run: RunFolder,
    target: Annotated[Path, typer.Argument(help="The folder to make; must not exist.", show_default=False)],
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for members to co-sign the newest block.")
    ] = 60.0,
    audit: Annotated[bool, typer.Option(help="Audit the copy before it appears.")] = True,
    as_json: AsJson = False,
) -> None:
    """Fetch the newest model of a launched run with its papers: a sealed folder that suture-audit verify accepts.

    The folder appears as a whole or not at all. The model is the file
    model.safetensors in it. No round may be under way.
    """
    from coordinator.launch.fetch import fetch as fetched
    from coordinator.launch.state import LaunchFolder
    from ledger.views.window import Answer, show
    from suture_fl.interruptions import INTERRUPTIONS
    from suture_fl.report import one_line

    with INTERRUPTIONS.something_to_tidy_up():
        found = fetched(
            LaunchFolder(run), target, timeout_s=timeout, audit=audit,
            say=lambda line: typer.echo(one_line(line), err=True),
        )  # fmt: skip
    data = {
        "folder": str(target),
        "model": str(found.model),
        "sha256": found.artifact.hex(),
        "model_id": f"0x{found.model_id.hex()}",
        "round": found.round,
        "checks_passed": found.audited,
    }
    audited = f"{found.audited} checks of the audit passed" if audit else "not audited"
    lines = [
        f"{found.model}: the model of round {found.round}, SHA-256 {found.artifact.hex()}.",
        f"Papers are beside it, sealed; {audited}. Anybody can look again: suture-audit verify {target}{_rpc(run)}",
    ]
    show(Answer(data, lines), as_json=as_json)


def _rpc(run: Path) -> str:
    """Return what an audit needs beside the papers: the node of an external chain, without what may be secret in its URL."""
    from coordinator.launch.state import LaunchFolder
    from ledger.address import find_ledger, place_of

    address = find_ledger(Path(LaunchFolder(run).read().ledger))
    return "" if address.path is not None else f" --rpc {place_of(address)}"


def abort(run: RunFolder, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """End a launched run early: stop it on the SuperLink, give its round up, close it on the ledger.

    Models that were made stay, and what finalised rounds promised stays
    claimable. The rest of the escrow goes back to the researcher with a
    second call, when the run's closing delay is over. Again does no harm.
    """
    from coordinator.launch.abort import abort as aborted
    from coordinator.launch.abort import standing
    from coordinator.launch.state import LaunchFolder
    from ledger.desk.desk import Wishes, confirm
    from ledger.views.window import Answer, show
    from suture_fl.report import one_line

    folder = LaunchFolder(run)
    state = folder.read()
    seen, money = standing(state), _money(state)
    lines = _plan(seen, money)
    if dry_run:
        show(
            Answer(_facts(seen) | {"dry_run": True}, [*lines, "Dry run: nothing was done."]), as_json=as_json
        )
        return
    for line in lines:
        typer.echo(one_line(line), err=True)
    confirm("Abort?", Wishes(yes=yes))
    found = aborted(folder, say=lambda line: typer.echo(one_line(line), err=True))
    data = {
        "dry_run": False,
        "run": f"0x{state.run}",
        "state": None if found is None else found.state.name,
        "escrow": None if found is None else str(found.escrow),
        "closes_at": 0 if found is None else found.closes_at,
    }
    show(Answer(data, [_end(found, money, run)]), as_json=as_json)


def _money(state: LaunchState) -> Money:
    from ledger.address import find_ledger, open_ledger
    from ledger.records import EMPTY_ADDRESS
    from ledger.views.runs import Money

    ledger = open_ledger(find_ledger(Path(state.ledger)))
    try:
        return Money.of(ledger.reader, bytes.fromhex(state.token) if state.token else EMPTY_ADDRESS)
    finally:
        ledger.close()


def _facts(seen: Standing) -> dict[str, Any]:
    return {
        "flower_runs": [str(number) for number in seen.flower_runs],
        "superlink": seen.away or "answers",
        "state": None if seen.run is None else seen.run.state.name,
        "round": seen.round,
        "closing_calls": seen.closes,
        "escrow": "0" if seen.run is None else str(seen.run.escrow),
    }


def _plan(seen: Standing, money: Money) -> list[str]:
    """Return what aborting does now, for people."""
    from ledger.records import RunState
    from ledger.views.window import duration, utc

    lines = [f"Stops Flower's run {number} on the SuperLink." for number in seen.flower_runs]
    if seen.away:
        lines.append(f"Cannot stop anything on the SuperLink: {seen.away}")
    if seen.round:
        lines.append(f"Gives round {seen.round} up; what it spent of privacy budgets stays spent.")
    if seen.run is None:
        return [*lines, "The run is not on the ledger: nothing was paid."]
    rest = money.write(seen.run.escrow)
    if seen.run.state is RunState.OPEN:
        lines.append("Closes the run on the ledger: no round can be opened any more.")
    if seen.closes == 2 or (seen.closes == 1 and seen.run.state is not RunState.OPEN):
        lines.append(f"Refunds {rest} of the escrow to the researcher.")
    elif seen.run.state is RunState.OPEN:
        wait = duration(seen.run.closing_delay)
        lines.append(f"{rest} of the escrow can be refunded after {wait}: abort again then.")
    elif seen.run.state is RunState.CLOSING:
        lines.append(f"The run is closing; {rest} can be refunded from {utc(seen.run.closes_at)} on.")
    else:
        lines.append("The run is closed on the ledger; its escrow is settled.")
    return lines


def _end(found: Run | None, money: Money, folder: Path) -> str:
    from ledger.records import RunState
    from ledger.views.window import utc

    if found is None:
        return "Aborted; the run never came to the ledger."
    if found.state is RunState.CLOSING:
        return (
            f"Aborted. {money.write(found.escrow)} of the escrow can be refunded from {utc(found.closes_at)} on: "
            f"suture abort {folder}"
        )
    return "Aborted. The run is closed on the ledger and the rest of its escrow is with the researcher."
