"""A researcher's run against real services: from a run file to a sealed folder with the model, with a crash on the way.

One story of about four minutes on two cores: a consortium that its people founded command by command, ``suture superlink serve``,
``suture relay`` before there is a run, four ``suture-node serve`` with gateways; then the researcher's commands only.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.engines.control import FlowerControl
from coordinator.launch.drive import drive
from coordinator.launch.state import LaunchFolder, LaunchState, Step
from tests.simulators.consortium_of_people import PER_ROUND
from tests.simulators.patience import ending, output_of
from tests.simulators.process_tree import becomes
from tests.simulators.researcher_site import Site, served
from tests.simulators.tensorboard_reader import scalars

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROUNDS = 2
UNIT = 10**18
FIRST_ROUND_S, WATCH_S = 900.0, 300.0


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with served(rounds=ROUNDS) as one:
        yield one


@pytest.fixture(scope="module")
def story(site: Site) -> Site:
    """Launch, die while waiting, resume, train, fetch, abort; what was said at each step."""
    said, run = site.said, site.people.run
    site.people.run_file.write_text('curves = "curves"\n' + site.people.run_file.read_text())
    said["dry"] = site.told("launch", site.people.run_file, "--dry-run")
    said["written by a dry run"] = (run / "launch").exists()
    said["killed"] = killed_while_waiting(site)
    said["step after the kill"] = LaunchFolder(run).read().step
    said["too few"] = site.suture("resume", run, "--timeout", 0)
    said["nodes before"] = site.told("nodes", run)["nodes"]
    watching = site.started("watch", run, "--json")
    site.people.consent()
    said["resumed"] = site.told("resume", run)
    number = int(str(said["resumed"]["flower_run"]))
    said["early fetch"] = site.suture("fetch", run, "early")
    said["live curves"] = curves_that_appear(site)
    said["status"] = site.federation.ended(number)
    said["watched"], said["watching failed"] = output_of(watching, WATCH_S)
    said["watch's exit"] = watching.returncode
    said["nodes after"] = site.told("nodes", run)["nodes"]
    said["runs"] = site.told("status", "--in", site.people.folder)["runs"]
    folder = LaunchFolder(run)
    folder.reach(folder.read(), Step.SUBMITTING, flower_run="")  # as if killed right after it had submitted
    said["watched before"] = watched(site)
    said["again"] = site.told("resume", run)
    said["resumed without"] = resumed_beside_a_superlink_that_forgot(folder)
    said["forgotten"] = watched_beside_a_superlink_that_forgot(site)
    said["fetched"] = site.told("fetch", run, "model")
    said["verified"] = site.federation.command("ledger.audit.cli", "verify", site.people.folder / "model")
    said["same folder"] = site.suture("fetch", run, "model")
    said["abort"] = [site.told("abort", run, "--dry-run"), site.told("abort", run, "--yes")]
    said["after the abort"] = site.suture("resume", run)
    return site


def killed_while_waiting(site: Site) -> str:
    """Start ``suture launch``, kill -9 it when it waits for consents, and return what it said."""
    process = site.started("launch", site.people.run_file, "--yes", "--timeout", 300)
    assert process.stderr is not None
    lines = []
    with ending(process):
        for line in process.stderr:
            lines.append(line)
            if "holders consent" in line:
                break
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "".join(lines)
    return "".join(lines)


def watched_beside_a_superlink_that_forgot(site: Site) -> list[dict[str, object]]:
    """Watch the run that completed, as if its SuperLink had lost its database; return what is told."""
    folder = LaunchFolder(site.people.run)
    state = folder.read()
    folder.write(replace(state, app="none-that-is-known"))
    try:
        return watched(site)
    finally:
        folder.write(state)


def watched(site: Site) -> list[dict[str, object]]:
    """Watch a run that is complete; return what is told."""
    done = site.suture("watch", site.people.run, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def resumed_beside_a_superlink_that_forgot(folder: LaunchFolder) -> tuple[list[str], LaunchState]:
    """Resume the run that completed, as if its launch had died while it submitted, and its SuperLink lost its database."""
    before, said = folder.read(), list[str]()
    folder.reach(before, Step.SUBMITTING, flower_run="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FlowerControl, "runs", lambda control, app: [])
        drive(folder, timeout_s=0.0, say=said.append)
    after = folder.read()
    folder.write(before)
    return said, after


def curves_that_appear(site: Site) -> dict[str, list[int]]:
    """Wait for the first points of the run's curves; return curve -> its rounds."""
    folder, seen = site.people.folder / "curves", {}

    def appear() -> bool:
        found = scalars(folder) if folder.is_dir() else {}
        seen.update(
            {tag: [one.step for one in curve] for run in found.values() for tag, curve in run.items()}
        )
        return bool(seen)

    assert becomes(appear, FIRST_ROUND_S), site.federation.log("superlink")
    return seen


def test_a_dry_run_writes_nothing(story: Site) -> None:
    assert story.said["written by a dry run"] is False
    dry = story.said["dry"]
    assert dry["escrow"] == str(ROUNDS * PER_ROUND * UNIT)
    assert [one["function"] for one in dry["transactions"]] == ["approve", "createRun"]
    assert [holder["keys"] for holder in dry["holders"]] == [True] * 4


def test_a_dry_run_shows_the_terms_the_bundle_and_the_run_that_a_launch_then_makes(story: Site) -> None:
    dry, state = story.said["dry"], LaunchFolder(story.people.run).read()
    bundle = (story.people.run / "launch" / f"{state.app}.fab").read_bytes()
    assert (dry["run"], dry["terms"]) == (f"0x{state.run}", f"0x{state.terms}")
    assert dry["bundle"] == hashlib.sha256(bundle).hexdigest()


def test_a_launch_that_is_killed_while_it_waits_for_consents_is_resumed_with_one_effect(story: Site) -> None:
    assert "is on the ledger" in story.said["killed"] and "0 of 4 holders consent" in story.said["killed"]
    assert story.said["step after the kill"] == Step.CREATED.value
    early = story.said["too few"]
    assert early.returncode == 1 and "0 of 4 consents came within 0 s; nothing is lost." in early.stderr
    [run] = story.people.suture("run", "list", "--ledger", story.people.ledger)["runs"]
    assert (run["accepted"], run["finalised"], run["allocated"]) == (
        4,
        ROUNDS,
        str(ROUNDS * PER_ROUND * UNIT),
    )


def test_the_run_completes_on_the_superlink_with_all_hospitals_in_every_round(story: Site) -> None:
    assert story.said["status"] == "finished:completed"
    rounds = story.federation.events("round-finalised")
    assert [(one["round"], one["included"], one["blamed"]) for one in rounds] == [(1, 4, []), (2, 4, [])]
    assert len(story.federation.events("enrolled")) == 1
    assert story.said["again"]["flower_run"] == story.said["resumed"]["flower_run"], (
        "nothing was started again"
    )
    assert story.said["again"]["step"] == Step.SUBMITTED.value
    ended = {"event": "ended", "status": "finished:completed", "finalised": ROUNDS, "rounds": ROUNDS}
    assert story.said["watched before"][-1] == ended, "the launch had died while it submitted"


def test_a_complete_run_that_its_superlink_forgot_is_resumed_to_its_end(story: Site) -> None:
    [line], after = story.said["resumed without"]
    assert "All rounds are finalised" in line and (after.step, after.flower_run) == (Step.SUBMITTED.value, "")


def test_watching_ends_although_the_superlink_forgot_the_run_that_completed(story: Site) -> None:
    told = story.said["forgotten"][-1]
    assert (told["event"], told["status"], told["finalised"]) == ("ended", "finished:unknown", ROUNDS)


def test_curves_of_the_run_file_are_written_while_the_run_goes_and_are_those_of_its_events(
    story: Site,
) -> None:
    live = story.said["live curves"]
    assert live["round/made_model"] == live["accuracy/test"] == [1], "before round 2 was over"
    [(name, curves)] = scalars(story.people.folder / "curves").items()
    assert name == f"run-{LaunchFolder(story.people.run).read().run[:16]}"
    assert [one.step for one in curves["accuracy/test"]] == [1, 2]
    assert [one.value for one in curves["round/included"]] == [4.0, 4.0]
    made = story.told("run", "curves", story.people.run, "--out", "again")
    [written] = (story.people.folder / "curves" / name).iterdir()
    assert written.read_bytes() == Path(made["file"]).read_bytes()


def test_watching_shows_consents_rounds_and_the_end_and_ends_with_the_run(story: Site) -> None:
    assert story.said["watch's exit"] == 0, story.said["watching failed"]
    events = [json.loads(line) for line in story.said["watched"].splitlines()]
    accepted = [one["accepted"] for one in events if one["event"] == "consents"]
    assert accepted == sorted(accepted) and accepted[0] < 4
    assert [one["round"] for one in events if one["event"] == "round-finalised"] == [1, 2]
    statuses = [one["status"] for one in events if one["event"] == "superlink"]
    assert statuses[-1] == "finished:completed"
    assert events[-1] == {
        "event": "ended",
        "status": "finished:completed",
        "finalised": ROUNDS,
        "rounds": ROUNDS,
    }


def test_nodes_shows_who_is_connected_and_who_consents_and_learns_whose_node_is_whose(story: Site) -> None:
    before, after = story.said["nodes before"], story.said["nodes after"]
    strangers = [one for one in before if not one["account"]]
    assert sorted(one["name"] for one in strangers) == [f"{position}.pub" for position in range(4)]
    assert {one["status"] for one in strangers} == {"online"}
    holders = [one for one in before if one["account"]]
    assert len(holders) == 4 and not any(one["consents"] or one["node"] for one in holders)
    assert all(one["keys"] and one["relay"] for one in holders)
    names = {account: name for name, account in story.people.accounts.items()}
    assert {names[one["account"]] for one in after} == {one["name"] for one in after} and len(after) == 4
    assert {(one["consents"], one["status"]) for one in after} == {(True, "online")}
    assert {one["node"] for one in after} == {one["node"] for one in strangers}


def test_status_without_a_run_lists_it(story: Site) -> None:
    [one] = story.said["runs"]
    assert (one["step"], one["finalised"], one["rounds"], one["problem"]) == ("submitted", ROUNDS, ROUNDS, "")


def test_what_is_fetched_is_a_sealed_folder_that_the_audit_accepts(story: Site) -> None:
    fetched, folder = story.said["fetched"], story.people.folder
    assert (fetched["round"], fetched["checks_passed"]) == (ROUNDS, 13)
    assert "All 13 checks passed." in story.said["verified"]
    traced = story.federation.command(
        "ledger.audit.cli", "trace", folder / fetched["model"], "--in", folder / "model"
    )
    assert fetched["sha256"][:12] in traced
    assert not (story.people.run / "public" / "seal.json").exists(), (
        "the live folder stays open for checkpoints"
    )


def test_a_fetch_while_the_run_is_under_way_or_into_a_folder_that_exists_leaves_nothing(story: Site) -> None:
    early, same = story.said["early fetch"], story.said["same folder"]
    assert early.returncode == 1 and "is under way" in early.stderr, early.stderr
    assert same.returncode == 1 and "exists already" in same.stderr
    assert not (story.people.folder / "early").exists() and not list(story.people.folder.glob(".model-*"))


def test_an_abort_closes_the_run_on_the_ledger_and_nothing_starts_it_again(story: Site) -> None:
    dry, done = story.said["abort"]
    assert (dry["state"], dry["flower_runs"], dry["round"], dry["closing_calls"]) == ("OPEN", [], 0, 2)
    assert (done["state"], done["escrow"]) == ("CLOSED", "0")
    refused = story.said["after the abort"]
    assert refused.returncode == 1 and "was aborted" in refused.stderr
