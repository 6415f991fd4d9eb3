"""The commands that health checks run, against real processes that answer, are frozen, or are dead; half a minute on two cores."""

from __future__ import annotations

import datetime
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flwr.proto.message_pb2 import Metadata

from clients.gateway.questions import Questions
from clients.node.gateway_lines import altered
from clients.node.logbook import read_logbook
from coordinator.certificates import make_certificates
from coordinator.engines.ports import reserve
from ledger.logbook import Kind
from tests.simulators.founded_run import found
from tests.simulators.patience import patient
from tests.simulators.process_tree import MARK, becomes, end_marked

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]
START_S, COMMAND_S = 600.0, 300.0
LOOKS_S = 15.0
"""Seconds in which a gateway looks for overdue messages two times at least."""


@dataclass
class Site:
    """The processes by name, and the command that asks each."""

    node: Path
    second: Path
    running: dict[str, subprocess.Popen[bytes]]
    checks: dict[str, list[str]]

    def ask(self, name: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-P", "-m", *self.checks[name]],
            cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=patient(COMMAND_S),
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Start a gateway, a relay and a SuperLink's front; there is no node and no SuperLink behind them."""
    mark = secrets.token_hex(8)
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        folder = Path(name)
        run = found(folder / "run", rounds=1)
        node = min((run / "nodes").iterdir())
        made = make_certificates(
            folder / "certificates", ["127.0.0.1"], now=datetime.datetime.now(datetime.UTC)
        )
        shown = ["--certificate", str(made.certificate), "--key", str(made.key)]
        gateway, supervised, relay, front, nobody = reserve([None] * 5)
        second = max((run / "nodes").iterdir())
        far = f"https://127.0.0.1:{nobody}"
        outward = [
            "--socket",
            f"{folder}/no.sock",
            "--superlink",
            far,
            "--root-certificates",
            str(made.authority),
        ]
        words = {
            "gateway": ["clients.cli", "gateway", str(node), *outward, "--port", str(gateway)],
            "supervised": ["clients.cli", "gateway", str(second), *outward, "--port", str(supervised), "--supervised"],
            "relay": ["coordinator.cli", "relay", str(run), *shown, "--port", str(relay)],
            "front": ["coordinator.cli", "superlink", "front", far, "--authority", str(made.authority), *shown,
                      "--port", str(front)],
        }  # fmt: skip
        alive = ["coordinator.cli", "alive", "--ca", str(made.authority)]
        site = Site(
            node,
            second,
            {one: _started(folder / f"{one}.log", words[one], mark) for one in words},
            {
                "gateway": ["clients.cli", "alive", f"http://127.0.0.1:{gateway}/health"],
                "relay": [*alive, f"https://127.0.0.1:{relay}"],
                "front": [*alive, f"https://127.0.0.1:{front}"],
                "supervised": ["clients.cli", "alive", f"http://127.0.0.1:{supervised}/health"],
                "gateway over tcp": ["clients.cli", "alive", f"tcp://127.0.0.1:{gateway}"],
                # the relay stands for a SuperNode that answers
                "supernode": [
                    "clients.cli",
                    "alive",
                    f"tcp://127.0.0.1:{relay}",
                    "--gateway",
                    f"http://127.0.0.1:{gateway}/health/supernode",
                ],
            },
        )
        try:
            for one in words:
                assert becomes(lambda one=one: site.ask(one)[0] == 0, START_S), (
                    folder / f"{one}.log"
                ).read_text()
            yield site
        finally:
            end_marked(mark)
            for process in site.running.values():
                process.kill()
                process.wait()


def _started(log: Path, words: list[str], mark: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", *words], env={**os.environ, MARK: mark}, cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip


def test_a_second_gateway_of_a_node_ends_before_it_sends_anything(site):
    """It would send what the first one keeps, whatever port it is given."""
    [port] = reserve([None])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "clients.cli", "gateway", str(site.node), "--socket", "/nowhere/no.sock",
         "--superlink", "https://127.0.0.1:1", "--port", str(port)],
        cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=patient(COMMAND_S),
    )  # fmt: skip
    assert done.returncode != 0 and "another gateway runs for" in done.stderr


@pytest.mark.parametrize("name", ["gateway", "relay", "front"])
def test_a_health_check_tells_a_process_that_answers_from_one_that_is_frozen(site: Site, name: str) -> None:
    process = site.running[name]
    assert becomes(lambda: site.ask(name)[0] == 0, START_S)
    process.send_signal(signal.SIGSTOP)
    try:
        code, said = site.ask(name)
        assert code == 1 and "does not answer" in said
    finally:
        process.send_signal(signal.SIGCONT)
    assert becomes(lambda: site.ask(name)[0] == 0, START_S), "it goes on"


def test_a_connection_alone_would_take_a_frozen_gateway_for_one_that_answers(site: Site) -> None:
    process = site.running["gateway"]
    process.send_signal(signal.SIGSTOP)
    try:
        assert site.ask("gateway over tcp")[0] == 0
    finally:
        process.send_signal(signal.SIGCONT)


def test_being_asked_is_no_event_of_the_house(site: Site) -> None:
    before = {path: path.read_bytes() for path in site.node.glob("*.jsonl")}
    assert site.ask("gateway")[0] == 0
    assert {path: path.read_bytes() for path in site.node.glob("*.jsonl")} == before
    assert not any(b"call-refused" in text for text in before.values())


def test_a_gateway_tells_of_a_message_whose_time_is_over_and_a_supervised_one_leaves_it(site: Site) -> None:
    assert site.ask("supernode")[0] == 0
    for node in (site.node, site.second):
        questions = Questions(node / "gateway.sqlite")
        questions.ask(
            Metadata(message_id="hung", run_id=7, created_at=time.time() - 60.0, ttl=1.0), frozenset(), 1e10
        )
        questions.close()
    assert becomes(lambda: site.ask("supernode")[0] == 1, START_S)
    assert "holds a message whose time is over" in site.ask("supernode")[1]
    [line] = map(json.loads, (site.node / "outgoing.jsonl").read_text().splitlines())
    assert (line["event"], line["message"], line["run"]) == ("message-overdue", "hung", "7")
    entries = [entry for entry, _ in read_logbook(site.node)]
    assert entries[-1].kind == Kind.WITHHELD.value and altered(entries, site.node) == []
    time.sleep(LOOKS_S)
    assert (site.second / "outgoing.jsonl").read_text() == "", "who supervises it writes it down"
    assert len((site.node / "outgoing.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("name", ["gateway", "relay", "front"])
def test_a_health_check_fails_when_its_process_was_killed(site: Site, name: str) -> None:
    site.running[name].kill()
    site.running[name].wait()
    code, said = site.ask(name)
    assert code == 1 and "does not answer" in said


def test_a_gateway_that_is_gone_is_not_held_against_its_supernode(site: Site) -> None:
    gateway = site.running["gateway"]
    gateway.kill()
    gateway.wait()
    with socket.create_server(("127.0.0.1", 0)) as supernode:
        words = [f"tcp://127.0.0.1:{supernode.getsockname()[1]}", *site.checks["supernode"][-2:]]
        site.checks["without"] = ["clients.cli", "alive", *words]
        assert site.ask("without")[0] == 0
