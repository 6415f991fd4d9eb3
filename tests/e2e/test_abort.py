"""A launched run whose ServerApp dies, is resumed, and is then aborted in the middle of a round, against real services.

One story of about six minutes on two cores.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from coordinator.launch.state import LaunchFolder, Step
from tests.simulators.consortium_of_people import PER_ROUND
from tests.simulators.patience import output_of
from tests.simulators.process_tree import becomes, marked, processes_of
from tests.simulators.researcher_site import Site, served

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROUNDS, ROUND_S = 6, 120.0
UNIT = 10**18


@pytest.fixture(scope="module")
def story() -> Iterator[Site]:
    with served(rounds=ROUNDS) as site:
        text = site.people.run_file.read_text()
        site.people.run_file.write_text(text.replace("closing_delay_days = 0", "closing_delay_days = 7"))
        play(site)
        yield site


def play(site: Site) -> None:
    """Launch in one go, lose the ServerApp, resume, abort in a round, fetch."""
    said, run, federation = site.said, site.people.run, site.federation
    said["launched"] = site.launch()
    assert becomes(lambda: len(federation.events("round-finalised")) >= 1, ROUND_S), federation.events()
    serverapp = processes_of("flwr-serverapp") & marked(federation.mark)
    assert serverapp
    for process in serverapp:
        os.kill(process, signal.SIGKILL)
    said["after the death"] = federation.ended(int(said["launched"]["flower_run"]))
    done = len(federation.events("round-finalised"))
    said["resumed"] = site.told("resume", run)
    watching = site.started("watch", run, "--json")
    assert becomes(lambda: len(federation.events("round-finalised")) > done, ROUND_S), federation.events()
    opened = len(federation.events("round-opened"))
    assert becomes(lambda: len(federation.events("round-opened")) > opened, ROUND_S), federation.events()
    time.sleep(1.0)
    said["dry"] = site.told("abort", run, "--dry-run")
    said["state after a dry run"] = LaunchFolder(run).read().step
    said["aborted"] = site.told("abort", run, "--yes")
    said["again"] = site.told("abort", run, "--yes")
    said["flower"] = federation.status(int(said["resumed"]["flower_run"]))
    said["watched"], _ = output_of(watching, 60.0)
    said["watch's exit"] = watching.returncode
    [said["run"]] = site.people.suture("run", "list", "--ledger", site.people.ledger)["runs"]
    said["fetched"] = site.told("fetch", run, "model")
    said["verified"] = federation.command("ledger.audit.cli", "verify", site.people.folder / "model")


def test_a_run_whose_serverapp_died_is_resumed_as_a_new_run_for_the_rounds_that_are_left(story: Site) -> None:
    assert story.said["after the death"] == "finished:failed"
    assert story.said["resumed"]["flower_run"] != story.said["launched"]["flower_run"]
    numbers = [one["round"] for one in story.federation.events("round-finalised")]
    assert numbers == sorted(set(numbers)), "no round is finalised twice"
    assert story.said["run"]["finalised"] == len(numbers) >= 2


def test_a_dry_run_of_an_abort_says_what_it_would_stop_and_stops_nothing(story: Site) -> None:
    dry = story.said["dry"]
    assert dry["flower_runs"] == [story.said["resumed"]["flower_run"]]
    assert dry["round"] > 0 and (dry["state"], dry["closing_calls"]) == ("OPEN", 1)
    assert story.said["state after a dry run"] == Step.SUBMITTED.value


def test_an_abort_stops_the_run_on_the_superlink_and_begins_to_close_it_on_the_ledger(story: Site) -> None:
    assert story.said["flower"] == "finished:stopped"
    assert story.said["aborted"]["state"] == story.said["run"]["state"] == "CLOSING"
    assert story.said["aborted"]["closes_at"] > time.time() + 6 * 86_400
    left = ROUNDS - story.said["run"]["finalised"]
    assert story.said["aborted"]["escrow"] == str(left * PER_ROUND * UNIT)
    assert story.said["again"] == story.said["aborted"]


def test_who_watches_is_told_that_it_was_aborted(story: Site) -> None:
    last = json.loads(story.said["watched"].splitlines()[-1])
    assert (last["event"], last["status"], story.said["watch's exit"]) == ("ended", "aborted", 1)


def test_the_last_model_of_an_aborted_run_is_fetched_with_papers_that_pass_the_audit(story: Site) -> None:
    numbers = [one["round"] for one in story.federation.events("round-finalised")]
    assert story.said["fetched"]["round"] == numbers[-1]
    assert "All 13 checks passed." in story.said["verified"]
