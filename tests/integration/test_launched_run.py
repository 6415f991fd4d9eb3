"""Looking at launched runs, aborting and fetching them, on a real embedded chain: what cannot be done says why and leaves nothing."""

from __future__ import annotations

import json
import re
import time
from contextlib import ExitStack
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from coordinator import app
from coordinator.cli.run_view import complete
from coordinator.engines.local import run_local
from coordinator.launch import abort as aborting
from coordinator.launch.drive import drive
from coordinator.launch.state import Step
from coordinator.launch.watch import Watch
from coordinator.launch.watch_screen import WatchScreen
from coordinator.store.presence import at_work
from fl_core.errors import InputError, SutureError
from ledger.address import find_ledger, open_ledger
from tests.simulators.launch_office import (
    Killed,
    created,
    events,
    launch_office,
    prepared,
    runs,
)
from tests.simulators.office import Office
from tests.simulators.terminal import Terminal
from tests.simulators.toy_app import client


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Office:
    return launch_office(tmp_path, Terminal(monkeypatch, capsys))


# ------------------------------------------------------------------------------------------------------------- looking


def test_watching_tells_of_consents_and_ends_with_an_abort(office):
    folder = created(office)
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        aborting.abort(folder, say=lambda line: None)

    told = list(Watch(folder, sleep=sleep).events())
    assert told[0] == {"event": "consents", "accepted": 0, "wanted": 3}
    assert (
        told[-1] == {"event": "ended", "status": "aborted", "finalised": 0, "rounds": 2} and len(waited) == 1
    )
    shown = office.terminal.run("suture", "watch", folder.path, "--json")
    assert (shown.code, shown.out.splitlines()[-1]) == (1, json.dumps(told[-1]))
    assert "It was aborted." in office.terminal.refused("suture", "watch", folder.path)


@pytest.mark.parametrize(
    ("step", "event"), [(Step.CONSENTED, "launch-stopped"), (Step.SUBMITTING, "superlink-away")]
)
def test_watching_tells_once_that_no_command_goes_on_with_a_launch(office, step, event):
    """One that stopped while it submitted may have got to the SuperLink, which is asked; here there is none."""
    folder = created(office)
    folder.reach(folder.read(), step)
    ticks, looks, told = iter(range(0, 1000, 3)), [], []
    launching = ExitStack()
    launching.enter_context(folder.alone())

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 6:
            assert told == [], "it is under way"
            assert folder.busy()
            launching.close()
            assert not folder.busy()
        if len(looks) == 12:
            aborting.abort(folder, say=lambda line: None)

    for one in Watch(folder, clock=lambda: next(ticks), sleep=sleep).events():
        told.append(one)  # noqa: PERF402 - sleep looks at it meanwhile
    assert [one["event"] for one in told] == [event, "ended"]
    assert told[0].get("step", "consented") == "consented"


def test_the_screen_says_how_to_go_on_with_a_launch_that_stopped():
    console = Console(file=StringIO(), width=200)
    with WatchScreen(console, 2) as screen:
        screen.show({"event": "launch-stopped", "step": "created"})
        screen.show({"event": "superlink", "run": "", "status": "unknown"})
    shown = console.file.getvalue()
    assert "stands at created; go on with suture resume" in shown
    assert "the run is not known there; go on with suture resume" in shown


@pytest.mark.parametrize("status", ["finished:completed", "finished:failed", "aborted"])
def test_a_run_is_complete_if_all_rounds_made_a_model_however_it_was_closed(status):
    ended = {"event": "ended", "status": status, "finalised": 3, "rounds": 3}
    assert complete(ended) and not complete(ended | {"finalised": 2})
    assert not complete(ended | {"finalised": 0, "rounds": 0}), "it is not on the ledger"


def test_watching_goes_on_while_the_superlink_is_away(office):
    folder = created(office)
    folder.reach(folder.read(), Step.SUBMITTED, flower_run="1")
    (folder.path / "coordinator" / "events.jsonl").write_text('{"event": "enrolled", "holders": []}\n')
    ticks = iter(range(0, 1000, 20))
    events = Watch(folder, clock=lambda: next(ticks), sleep=lambda seconds: None).events()
    assert next(events)["event"] == "enrolled"
    away = next(events)
    assert away["event"] == "superlink-away" and "is not the folder of a SuperLink" in away["reason"]
    with (folder.path / "coordinator" / "events.jsonl").open("a") as file:
        file.write('{"event": "round-opened", "round": 1}\n')
    assert next(events)["event"] == "round-opened", "it is told once that the SuperLink is away"


def test_nodes_are_shown_from_the_ledger_while_the_superlink_is_away(office):
    folder = created(office)
    told = office.terminal.done("suture", "nodes", folder.path)
    assert "is not the folder of a SuperLink" in told["superlink"]
    [alder] = told["nodes"]
    assert (alder["account"], alder["consents"], alder["keys"]) == (office.account("alder"), False, False)


def test_status_lists_all_runs_of_a_folder_also_one_whose_file_is_damaged(office):
    folder = created(office)
    broken = office.folder / "runs" / "broken" / "launch"
    broken.mkdir(parents=True)
    (broken / "state.json").write_text("{}")
    listed = office.terminal.done("suture", "status", "--in", office.folder)["runs"]
    assert [(Path(one["folder"]).name, bool(one["problem"])) for one in listed] == [
        ("run", False),
        ("broken", True),
    ]
    assert listed[0]["step"] == "created" and listed[0]["wanted"] == 3
    assert office.terminal.done("suture", "status", folder.path)["run"] == listed[0]["run"]
    shown = office.terminal.run("suture", "status", folder.path)
    assert re.search(r"^event +-$", shown.out, re.MULTILINE) and "None" not in shown.out
    (folder.path / "coordinator" / "events.jsonl").write_text(
        '{"event": "round-opened", "at": 1795820883.737, "round": 3, "cohort": ["A"]}\n'
    )
    shown = office.terminal.run("suture", "status", folder.path)
    assert re.search(r"^event +round-opened, round 3, 2026-11-27 23:08:03Z$", shown.out, re.MULTILINE)
    assert office.terminal.done("suture", "status", folder.path)["event"]["cohort"] == ["A"]
    shown = office.terminal.run("suture", "status", "--in", office.folder)
    assert "0 of 3" in shown.out and "is damaged" in shown.out
    assert office.terminal.done("suture", "status", "--in", office.folder / "keys") == {"runs": []}


@pytest.mark.parametrize("why", ["nodes", "chain"])
def test_a_run_that_cannot_begin_says_why(office, monkeypatch, why):
    folder = created(office)
    monkeypatch.setattr(app, "CONNECT_DEADLINE_S", 0.0)
    settings = {app.FOLDER: str(folder.path), app.NODES: int(why == "nodes")}
    reason = "1 nodes are expected, 0 are connected"
    with ExitStack() as stack:
        if why == "chain":
            held = open_ledger(find_ledger(office.ledger), write=True)
            stack.callback(held.close)
            reason = "is open for writing"
        stack.enter_context(pytest.raises(SutureError, match=reason))
        run_local(app.make_server_app(), client, [], settings)
    shown = office.terminal.done("suture", "status", folder.path)["event"]
    assert shown["event"] == "run-failed" and reason in shown["reason"]
    assert reason in office.terminal.run("suture", "status", folder.path).out


# ------------------------------------------------------------------------------------------------------------- abort


def test_an_abort_before_the_ledger_knows_of_the_run_leaves_the_ledger_as_it_is(office):
    folder = prepared(office)
    told = office.terminal.sent("suture", "abort", folder.path)
    assert told["state"] is None and runs(office) == []
    assert "was aborted" in office.terminal.refused("suture", "resume", folder.path)


def test_an_abort_begins_to_close_the_run_once_and_says_when_the_escrow_can_come_back(office):
    folder = created(office)
    dry = office.terminal.done("suture", "abort", folder.path, "--dry-run")
    assert (dry["state"], dry["closing_calls"]) == ("OPEN", 1) and "is not the folder of a SuperLink" in dry[
        "superlink"
    ]
    assert folder.read().step == Step.CREATED.value and events(office, "RunClosing") == 0
    first = office.terminal.sent("suture", "abort", folder.path)
    assert first["state"] == "CLOSING" and first["closes_at"] > time.time() + 6 * 86_400
    assert office.terminal.sent("suture", "abort", folder.path) == first
    assert events(office, "RunClosing") == 1
    shown = office.terminal.run("suture", "abort", folder.path, "--yes")
    assert "can be refunded from" in shown.out and f"suture abort {folder.path}" in shown.out


@pytest.mark.parametrize("at", ["_open_when_free", "_close"])
def test_an_abort_that_is_killed_is_given_again_and_meanwhile_nothing_is_started(office, monkeypatch, at):
    folder = created(office)

    def killed(*arguments):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(aborting, at, killed)
        with pytest.raises(Killed):
            aborting.abort(folder, say=lambda line: None)
    with pytest.raises(InputError, match="was aborted"):
        drive(folder, timeout_s=0, say=lambda line: None)
    assert runs(office)[0]["state"] == "OPEN"
    found = aborting.abort(folder, say=lambda line: None)
    assert found is not None and found.state.name == "CLOSING"


# ------------------------------------------------------------------------------------------------------------- fetch


def test_a_fetch_that_cannot_be_done_says_why_and_leaves_nothing(office):
    folder = created(office)
    target = office.folder / "model"
    assert "No round of this run made a model yet" in office.terminal.refused(
        "suture", "fetch", folder.path, target
    )
    assert "There is no folder" in office.terminal.refused(
        "suture", "fetch", folder.path, target / "in" / "it"
    )
    with folder.alone():
        assert "Another suture launch, resume, abort or fetch works on" in office.terminal.refused(
            "suture", "fetch", folder.path, target
        )
    with at_work(folder.path / "coordinator"):
        assert "The run is under way" in office.terminal.refused("suture", "fetch", folder.path, target)
    target.symlink_to(office.folder / "nowhere")
    assert "exists already" in office.terminal.refused("suture", "fetch", folder.path, target)
    assert not list(office.folder.glob(".model-*"))


def test_an_abort_waits_for_a_program_that_still_works_on_the_run(office, monkeypatch):
    folder = created(office)
    monkeypatch.setattr(aborting, "GONE_S", 0.0)
    with (
        at_work(folder.path / "coordinator"),
        pytest.raises(InputError, match=r"is not at rest .*a program works"),
    ):
        aborting.abort(folder, say=lambda line: None)
    assert runs(office)[0]["state"] == "OPEN"
    assert aborting.abort(folder, say=lambda line: None).state.name == "CLOSING"
