"""A researcher's run whose ledger is behind a JSON-RPC node, against real services, as a consortium with a chain of its own has it.

One story of about five minutes on two cores. The coordinator asks anvil; the hospitals ask a node of their own, which wants a password and
is always some seconds behind. The chain stops in the middle of a round, the relay is started again, the ServerApp is killed in another one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.anvil import Anvil
from tests.simulators.late_node import PASSWORD, late_node
from tests.simulators.patience import exit_of, output_of
from tests.simulators.process_tree import becomes, marked, processes_of
from tests.simulators.researcher_site import Site, served

pytestmark = [
    pytest.mark.anvil,
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROUNDS, ROUND_S, WATCH_S = 4, 1200.0, 300.0
LATE_S, AWAY_S = 1.5, 30.0
PATIENCE = 2.5
"""By how much deadlines are longer than the run file's: an outage uses them up."""


@pytest.fixture(scope="module")
def story() -> Iterator[Site]:
    with (
        Anvil(chain_id=20260) as anvil,
        late_node(anvil.url, LATE_S) as own,
        served(rounds=ROUNDS, patience=PATIENCE, chain=anvil.url, hospitals=own) as site,
    ):
        play(site, anvil)
        yield site


def play(site: Site, anvil: Anvil) -> None:
    """Launch, lose the chain for a while, the relay, the ServerApp; resume, fetch, audit, close."""
    said, run, people, federation = site.said, site.people.run, site.people, site.federation
    said["dry"] = site.told("launch", people.run_file, "--dry-run")
    said["launched"] = site.launch()
    said["waited"] = _chain_stops_in_a_round(site, anvil)
    _start_relay_again(site)
    _serverapp_dies_in_a_round(site)
    watching = site.started("watch", run, "--json")
    said["ended"] = federation.ended(int(said["resumed"]["flower_run"]))
    said["watched"], _ = output_of(watching, WATCH_S)
    said["nodes"] = site.told("nodes", run)["nodes"]
    said["status"] = site.told("status", run)
    said["doctor"] = json.loads(federation.command("clients.cli", "doctor", federation.nodes[0], "--json"))
    said["fetched"] = site.told("fetch", run, "model")
    model = people.folder / "model"
    said["verified"] = federation.command("ledger.audit.cli", "verify", model, "--rpc", anvil.url)
    said["traced"] = federation.command(
        "ledger.audit.cli", "trace", model / "model.safetensors", "--in", model, "--rpc", anvil.url
    )
    said["abort"] = site.told("abort", run, "--yes")
    second = people.run_file.with_name("second.toml")
    second.write_text(people.run_file.read_text().replace('folder = "run"', 'folder = "second"'))
    said["second"] = site.told("launch", second, "--dry-run")


def _round_begins(site: Site) -> None:
    opened = len(site.federation.events("round-opened"))
    began = becomes(lambda: len(site.federation.events("round-opened")) > opened, ROUND_S)
    assert began, site.federation.events()[-5:]


def _chain_stops_in_a_round(site: Site, anvil: Anvil) -> int:
    """Stop the node while hospitals train, for longer than a request may take; return the number of the round."""
    _round_begins(site)
    number = int(str(site.federation.events("round-opened")[-1]["round"]))
    anvil.freeze()
    try:
        time.sleep(AWAY_S)
    finally:
        anvil.thaw()
    over = ("round-finalised", "round-failed")
    ended = lambda: [one for name in over for one in site.federation.events(name) if one["round"] == number]
    assert becomes(ended, ROUND_S), site.federation.events()[-5:]
    return number


def _start_relay_again(site: Site) -> None:
    """End the relay and start it as after a reboot: the run is launched, so it finds its ledger by itself."""
    relay = site.federation.running.pop("relay")
    relay.send_signal(signal.SIGTERM)
    site.said["relay's exit"] = exit_of(relay, lambda: site.federation.log("relay"))
    site.federation.start_relay()


def _serverapp_dies_in_a_round(site: Site) -> None:
    _round_begins(site)
    serverapp = processes_of("flwr-serverapp") & marked(site.federation.mark)
    assert serverapp
    for process in serverapp:
        os.kill(process, signal.SIGKILL)
    # it waits until Flower has given the first run up
    site.said["resumed"] = site.told("resume", site.people.run)
    site.said["first"] = site.federation.status(int(site.said["launched"]["flower_run"]))


def test_the_run_completes_with_a_model_of_every_round(story: Site) -> None:
    assert story.said["ended"] == "finished:completed"
    rounds = story.federation.events("round-finalised")
    numbers = [one["round"] for one in rounds]
    assert numbers == sorted(set(numbers)) and len(numbers) == ROUNDS
    assert all(int(str(one["included"])) >= 3 and one["blamed"] == [] for one in rounds)
    status = story.said["status"]
    assert (status["step"], status["state"], status["finalised"], status["rounds"]) == (
        "submitted", "OPEN", ROUNDS, ROUNDS,
    )  # fmt: skip


def test_a_chain_that_stops_for_a_while_is_waited_for_in_its_round(story: Site) -> None:
    said = [story.federation.log(f"node-{position}") for position in range(4)]
    asked = [one for one in said if "the ledger's node has been away for" in one]
    assert asked or story.federation.events("ledger-away"), "whoever asked it says that it was away"
    assert story.said["waited"] in [one["round"] for one in story.federation.events("round-finalised")]


def test_hospitals_whose_node_is_behind_wait_for_what_the_coordinator_speaks_of(story: Site) -> None:
    early = ("is not open on the ledger", "no accepted set on the ledger", "no included set on the ledger")
    reasons = [str(one.get("reason", "")) for one in story.federation.events()]
    for said in (*reasons, *(story.federation.log(f"node-{position}") for position in range(4))):
        assert not any(words in said for words in early)
    answered = [one for one in story.federation.events("answer") if one["round"] == ROUNDS]
    assert len(answered) >= 6, "share check and reveal, of three at least"


def test_a_relay_without_blocks_carries_duties_and_finds_the_ledger_of_a_launched_run(story: Site) -> None:
    assert story.said["relay's exit"] == 128 + signal.SIGTERM
    assert story.federation.log("relay").count("relay on https://") == 2
    holders = [one for one in story.said["nodes"] if one["account"]]
    assert len(holders) == 4 and all(one["relay"] and one["consents"] for one in holders)
    for node in story.federation.nodes:
        assert not (node / "chain" / "ledger.sqlite").exists()


def test_a_run_whose_program_was_killed_is_resumed_for_the_rounds_that_are_left(story: Site) -> None:
    assert story.said["first"] == "finished:failed"
    assert story.said["resumed"]["flower_run"] != story.said["launched"]["flower_run"]
    last = json.loads(story.said["watched"].splitlines()[-1])
    assert (last["event"], last["finalised"]) == ("ended", ROUNDS)


def test_the_doctor_finds_a_hospitals_node_of_the_chain_and_its_membership_in_order(story: Site) -> None:
    found = {one["check"]: one for one in story.said["doctor"]["findings"]}
    assert found["ledger"]["grade"] == found["member"]["grade"] == "ok"
    assert "Chain 20260" in found["ledger"]["found"]


def test_what_is_fetched_passes_the_audit_over_the_node(story: Site) -> None:
    fetched, folder = story.said["fetched"], story.people.folder
    assert fetched["checks_passed"] == 13
    assert "All 13 checks passed." in story.said["verified"]
    assert fetched["sha256"][:12] in story.said["traced"]
    assert not (folder / "model" / "ledger.sqlite").exists()


def test_an_aborted_run_is_closed_and_the_same_chain_takes_another_one(story: Site) -> None:
    assert (story.said["abort"]["state"], story.said["abort"]["escrow"]) == ("CLOSED", "0")
    assert story.said["second"]["run"] != story.said["dry"]["run"]


def test_the_password_of_a_node_is_in_the_holders_own_files_only(story: Site) -> None:
    mine = ("hospitals.toml", "node.toml")
    found = [path for path in story.people.folder.rglob("*") if path.is_file() and path.name not in mine]
    assert len(found) > 100
    assert [path for path in found if PASSWORD.encode() in _read(path)] == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # a file of a service that still runs
        return b""
