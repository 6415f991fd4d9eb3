"""``suture launch`` and ``suture resume``: a run from its file to the SuperLink."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ledger.desk.options import Yes
from ledger.views.binding import AsJson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coordinator.launch.check import Holder
    from coordinator.launch.run_file import RunFile
    from coordinator.launch.state import LaunchFolder, LaunchState
    from fl_core.protocol.terms import Terms
    from ledger.views.runs import Money
    from ledger.views.window import Answer

LAUNCH = "Example: suture launch run.toml --dry-run"
RESUME = "Example: suture resume runs/heart --timeout 86400"
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.", show_default=False)]
Timeout = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for consents, and for a SuperLink that is away.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, show it, write and send nothing.")]


def launch(
    file: Annotated[Path, typer.Argument(help="The run file.", show_default=False)],
    timeout: Timeout = 3600.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Launch a run: terms and escrow on the ledger, consents, then the start on the SuperLink.

    Can be ended at any point, also by a crash, and goes on with suture resume.
    """
    from coordinator.launch.prepare import keep
    from coordinator.launch.run_file import read_run_file
    from ledger.desk.desk import Wishes, confirm
    from ledger.views.window import show
    from suture_fl.report import one_line

    wanted = read_run_file(file)
    answer, money = _looked_at(wanted, dry_run=dry_run)
    if dry_run:
        show(answer, as_json=as_json)
        return
    for line in answer.lines:
        typer.echo(one_line(line), err=True)
    confirm("Launch?", Wishes(yes=yes))
    _drive(keep(wanted, money), timeout, as_json=as_json)


def _looked_at(wanted: RunFile, *, dry_run: bool) -> tuple[Answer, Money]:
    """Check all that can be checked before anything is written, and return what a launch would do."""
    import tempfile

    from coordinator.launch import check
    from coordinator.launch.prepare import check_folder, check_ledger, prepare
    from ledger.address import find_ledger
    from ledger.records import EMPTY_ADDRESS
    from ledger.views.runs import Money
    from ledger.views.window import Answer, Window, look, read_account

    check_folder(wanted)
    check_ledger(wanted)
    check.check_superlink(wanted)
    check.check_keys(wanted)
    token = wanted.values["rewards.token"]
    with look(find_ledger(wanted.place("ledger.file")), Window, as_json=False) as window:
        money = Money.of(window.reader, read_account(token) if token else EMPTY_ADDRESS)
        holders = check.check_people(wanted, window)
        with tempfile.TemporaryDirectory() as scratch:
            state, terms = prepare(wanted, money, Path(scratch))
        check.check_escrow(wanted, window, money, state)
        sent = check.rehearse(wanted, window, money, state, terms)
    data = {
        "dry_run": dry_run,
        "run": f"0x{state.run}",
        "terms": f"0x{state.terms}",
        "bundle": terms.bundle,
        "escrow": state.escrow,
        "budget": state.budget,
        "consents": state.consents,
        "holders": [{"account": f"0x{h.account.hex()}", "name": h.name, "keys": h.keys} for h in holders],
        "transactions": sent,
    }
    return Answer(data, _in_words(terms, state, money, holders, sent, dry_run=dry_run)), money


def _in_words(
    terms: Terms,
    state: LaunchState,
    money: Money,
    holders: Sequence[Holder],
    sent: Sequence[Mapping[str, Any]],
    *,
    dry_run: bool,
) -> list[str]:
    from ledger.views.terms import terms_in_words

    able = [
        f"{h.name} (0x{h.account.hex()})" if h.name else f"0x{h.account.hex()}" for h in holders if h.keys
    ]
    costs = [f"{one['words']}: {one['gas']} gas, at most {one['most_wei']} wei" for one in sent]
    return [
        *terms_in_words(terms, money.write),
        f"Escrow: {money.write(int(state.escrow))}. Privacy budget: {state.budget}.",
        f"Waits for {state.consents} consents of: {', '.join(able)}.",
        *costs,
        "After it the coordinator records its key, unless it is there, and the first model.",
        *(["Dry run: nothing was written or sent."] if dry_run else []),
    ]


def resume(run: RunFolder, timeout: Timeout = 3600.0, as_json: AsJson = False) -> None:
    """Go on with a launched run from wherever it stands; does nothing twice."""
    from coordinator.launch.state import LaunchFolder

    folder = LaunchFolder(run)
    folder.read()
    _drive(folder, timeout, as_json=as_json)


def _drive(folder: LaunchFolder, timeout: float, *, as_json: bool) -> None:
    from coordinator.launch.drive import drive
    from ledger.views.window import Answer, show
    from suture_fl.report import one_line

    state = drive(folder, timeout_s=timeout, say=lambda line: typer.echo(one_line(line), err=True))
    data = {
        "folder": str(folder.path),
        "run": f"0x{state.run}",
        "step": state.step,
        "flower_run": state.flower_run,
    }
    show(Answer(data, [f"See how it goes: suture watch {folder.path}"]), as_json=as_json)
