"""The deployment of production on one machine: SuperLink with TLS, enrolled keys, database and SuperExec; four hospitals behind gateways.

One story for all tests of this file, about three minutes on two cores: what must be refused is tried first; then a run of two rounds,
in the second of which the last hospital is cut off from the network, where this machine allows network namespaces; then the audit.
"""

from __future__ import annotations

import datetime
import json
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from flwr.proto import fleet_pb2
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE

from clients.gateway.gateway import ACTIVATION_FAILED
from clients.gateway.ports import SuperLinkError
from clients.gateway.superlink import HttpSuperLink, node_key
from clients.node.gateway_lines import altered
from clients.node.logbook import read_logbook
from coordinator import app
from coordinator.certificates import make_certificates
from coordinator.demo.deployed_run import prepare_bundle
from coordinator.demo.settlement import seal_run, settle_rewards
from coordinator.engines import flower_commands
from coordinator.engines.environment import child_environment
from coordinator.engines.ports import reserve
from fl_core.randomness import SystemRandomSource
from ledger.logbook import Kind
from tests.simulators import hostile_app
from tests.simulators.federation import NEAR, RUN_S, Cable, Federation
from tests.simulators.founded_run import found, now, opened_hospitals
from tests.simulators.patience import patient
from tests.simulators.process_tree import becomes, marked

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROUNDS, STATUS_EVERY_S = 2, 15.0
CONTROL = (
    "control/start-run",
    "control/list-runs",
    "control/register-node",
    "runtime/acquire-task",
    "runtime/pull-messages",
)


@dataclass
class Story:
    """What happened, in the order of the fields."""

    missing: str
    seen: dict[str, object]
    status: str
    rounds: list[dict[str, object]]
    lost: list[dict[str, object]]
    federation: Federation
    exits: dict[str, int]
    left: set[int]
    audit: dict[str, object]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        folder = Path(name)
        bundle = prepare_bundle(folder / "bundle", app.SETTINGS)
        run = found(folder / "run", rounds=ROUNDS, bundle=bundle.sha256.hex())
        missing = Cable.missing()
        federation = Federation(folder, run, far=not missing)
        try:
            federation.start()
            seen = refusals(federation)
            config = {**app.SETTINGS, app.FOLDER: str(run), app.ROUNDS: ROUNDS, app.RELAY: True}
            config |= {app.TRAIN_DEADLINE: patient(90.0), app.REVEAL_DEADLINE: patient(60.0)}
            run_id = federation.submit(bundle.path.with_suffix(""), config)
            if federation.cable is not None:
                assert becomes(last_round_opens(federation, run_id), RUN_S)
                time.sleep(1.0)  # the message is on its way, the answer is not
                federation.cable.pull()
            status = federation.ended(run_id)
            assert status == "finished:completed", federation.server_log(run_id)[-3000:]
            rounds, lost = federation.events("round-finalised"), federation.events("contribution-lost")
            exits = federation.stop()
            becomes(lambda: not marked(federation.mark), 60.0)
            left = marked(federation.mark)
            yield Story(missing, seen, status, rounds, lost, federation, exits, left, audited(federation))
        finally:
            federation.close()


def last_round_opens(federation: Federation, run_id: int) -> Callable[[], bool]:
    """Return a look that is quick enough for the cable: whether the run is over takes seconds to ask, and is asked now and then."""
    asked = time.monotonic()

    def look() -> bool:
        nonlocal asked
        if len(federation.events("round-opened")) == ROUNDS:
            return True
        if time.monotonic() - asked < STATUS_EVERY_S:
            return False
        asked = time.monotonic()
        return federation.status(run_id).startswith("finished")

    return look


def audited(federation: Federation) -> dict[str, object]:
    """Pay, co-sign and seal as after any run, and audit the public folder by the command."""
    settle_rewards(federation.run, clock=now, random=SystemRandomSource())
    hospitals = opened_hospitals(federation.run)
    for hospital in hospitals[
        : -1 if federation.cable else None
    ]:  # the last one sees the chain over the relay only
        hospital.cosign()
    for hospital in hospitals:
        hospital.close()
    seal_run(federation.run, clock=now, random=SystemRandomSource())
    said = federation.command("ledger.audit.cli", "verify", federation.run / "public", "--json")
    result: dict[str, object] = json.loads(said)
    return result


# ---------------------------------------------------------------------- what must be refused


def refusals(federation: Federation) -> dict[str, object]:
    """Try what must be refused, and return what came of it."""
    seen: dict[str, object] = {}
    url, trust = (
        f"https://127.0.0.1:{federation.port}",
        ssl.create_default_context(cafile=str(federation.authority)),
    )
    for path in CONTROL:
        seen[f"front {path}"] = httpx.post(f"{url}/v1/{path}", verify=trust, trust_env=False).status_code
    inner = f"https://127.0.0.1:{federation.inner}/v1"
    kind = {"content-type": PROTOBUF_MEDIA_TYPE, "accept": PROTOBUF_MEDIA_TYPE}
    for path in ("control/list-runs", "runtime/acquire-task"):
        seen[f"inner {path}"] = httpx.post(
            f"{inner}/{path}", verify=trust, headers=kind, trust_env=False
        ).status_code
    seen["inner from outside"] = federation.cable is not None and reaches(federation, federation.inner)
    seen["front from outside"] = federation.cable is None or reaches(federation, federation.port)
    try:
        seen["plain"] = httpx.post(
            f"http://127.0.0.1:{federation.port}/v1/fleet/get-run", trust_env=False
        ).status_code
    except httpx.HTTPError as error:
        seen["plain"] = type(error).__name__
    stranger = node_key(federation.folder / "stranger.pem")
    seen["unenrolled"] = activated(HttpSuperLink(url, stranger, federation.authority))
    enrolled = node_key(federation.nodes[0] / "keys" / "supernode.pem")
    other = make_certificates(
        federation.folder / "other", ["127.0.0.1"], now=datetime.datetime.now(datetime.UTC)
    )
    seen["wrong authority"] = activated(HttpSuperLink(url, enrolled, other.authority))
    seen["supernode"] = unenrolled_supernode(federation)
    seen["bundle"] = other_bundle(federation)
    return seen


def reaches(federation: Federation, port: int) -> bool:
    """Whether the far hospital can open a connection to a port of the coordinator's machine."""
    program = f"import socket; socket.create_connection(({NEAR!r}, {port}), 3)"
    command = ["ip", "netns", "exec", federation.cable.name, sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def activated(far: HttpSuperLink) -> tuple[int, int]:
    """Ask to be let in; return HTTP status and Flower's code of the refusal; 503 and 0 where nobody answered."""
    request = fleet_pb2.ActivateNodeRequest(public_key=far.public_key, heartbeat_interval=30)
    try:
        far.call("activate-node", request, fleet_pb2.ActivateNodeResponse, 1 << 16)
    except SuperLinkError as error:
        return error.status, error.code
    finally:
        far.close()
    return 200, 0


def unenrolled_supernode(federation: Federation) -> tuple[bool, str]:
    """Start Flower's own SuperNode with a key that nobody enrolled; return whether it got in, and what it said."""
    [port] = reserve([None])
    command = flower_commands.supernode(
        federation.port, port, {}, authority=federation.authority, key=federation.folder / "stranger.pem"
    )
    environment = child_environment(federation.folder / "stranger", federation.environment())
    done = subprocess.run(command, env=environment, capture_output=True, timeout=patient(600.0), check=False)
    said = (done.stdout + done.stderr).decode()
    return done.returncode == 0 or "SuperNode ID" in said, said


def other_bundle(federation: Federation) -> dict[str, object]:
    """Submit a bundle that no hospital accepted; return how the first one answered."""
    other = hostile_app.write(federation.folder / "other-app" / "hostile", attacks=("rows",))
    report = federation.folder / "hostile-report"
    federation.ended(federation.submit(other, {"report": str(report)}))
    [line] = map(json.loads, report.read_text().splitlines())
    return line


# ---------------------------------------------------------------------- what must be true


def test_four_hospitals_behind_gateways_complete_a_run_that_passes_the_audit(story: Story) -> None:
    assert story.status == "finished:completed"
    assert [(one["round"], one["blamed"], one["liars"]) for one in story.rounds] == [(1, [], []), (2, [], [])]
    assert story.rounds[0]["included"] == 4
    assert story.audit["passed"] is True, story.audit


def test_every_service_ends_when_it_is_told_to_and_nothing_is_left(story: Story) -> None:
    assert story.exits.pop("relay") == 128 + 15, "as the reference of commands says"
    assert set(story.exits.values()) == {0}
    assert story.left == set()


def test_a_hospital_that_is_cut_off_in_mid_round_is_done_without(story: Story) -> None:
    if story.missing:
        pytest.skip(story.missing)
    assert story.rounds[1]["included"] == 3
    assert [one["round"] for one in story.lost] == [2]


def test_a_hospital_that_sees_the_chain_over_the_relay_only_is_well_and_knows_its_run(story: Story) -> None:
    far = story.federation.nodes[-1]
    status = json.loads(story.federation.command("clients.cli", "status", far, "--json"))
    assert story.missing or "/nowhere" in str(status["ledger"])
    assert status["consents"] and int(status["last block"]) > 0
    checks = "ledger,member,copy,register"
    doctor = json.loads(story.federation.command("clients.cli", "doctor", far, "--only", checks, "--json"))
    assert {finding["grade"] for finding in doctor["findings"]} == {"ok"}, doctor


def test_from_outside_the_front_answers_fleet_calls_only_and_flowers_own_port_is_closed(story: Story) -> None:
    assert {story.seen[f"front {path}"] for path in CONTROL} == {403}
    assert story.seen["inner control/list-runs"] == 200, "the same call where it is served: the test can fail"
    assert (story.seen["front from outside"], story.seen["inner from outside"]) == (True, False)


def test_a_superexec_without_the_secret_gets_no_serverapp(story: Story) -> None:
    assert story.seen["inner runtime/acquire-task"] == 401


def test_a_supernode_with_a_key_that_nobody_enrolled_is_not_let_in(story: Story) -> None:
    assert story.seen["unenrolled"] == (412, ACTIVATION_FAILED)
    let_in, said = story.seen["supernode"]
    assert not let_in, said


def test_a_client_without_tls_or_with_another_authority_gets_no_answer(story: Story) -> None:
    assert story.seen["plain"] in ("RemoteProtocolError", "ReadError", "ConnectError")
    assert story.seen["wrong authority"] == (503, 0)


def test_a_bundle_that_is_not_the_accepted_one_is_refused_by_every_gateway_that_got_it(story: Story) -> None:
    assert story.seen["bundle"]["error"] == [7, "the holder refuses this bundle"]
    logs = [(node / "outgoing.jsonl").read_text() for node in story.federation.nodes]
    assert sum("bundle-refused" in log for log in logs) == 1, "one was asked"


def test_the_state_and_the_secrets_of_the_superlink_are_its_owners_only(story: Story) -> None:
    folder = story.federation.superlink
    assert (folder / "superlink.sqlite").stat().st_size > 0
    assert folder.stat().st_mode & 0o077 == 0
    for private in (folder / "superexec.secret", story.federation.certificates / "server.key"):
        assert private.stat().st_mode & 0o077 == 0


def test_every_hospital_wrote_down_what_it_sent_before_it_left(story: Story) -> None:
    for node in story.federation.nodes:
        entries = [entry for entry, _ in read_logbook(node)]
        kinds = [entry.kind for entry in entries]
        assert {Kind.FRAME.value, Kind.CHECKPOINT.value, Kind.REPLY.value} <= set(kinds)
        assert kinds.index(Kind.FRAME.value) < len(kinds) - 1 - kinds[::-1].index(Kind.REPLY.value)
        assert altered(entries, node) == []
        story.federation.command("clients.cli", "log", "verify", node)
