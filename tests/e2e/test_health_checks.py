"""The commands that health checks run, against real processes that answer, are frozen, or are dead; half a minute on two cores."""

from __future__ import annotations

import datetime
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.certificates import make_certificates
from coordinator.engines.ports import reserve
from tests.simulators.founded_run import found
from tests.simulators.process_tree import MARK, becomes, end_marked

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]
START_S = 600.0


@dataclass
class Site:
    """The processes by name, and the command that asks each."""

    node: Path
    running: dict[str, subprocess.Popen[bytes]]
    checks: dict[str, list[str]]

    def ask(self, name: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-P", "-m", *self.checks[name]],
            cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
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
        gateway, relay, front, nobody = reserve([None] * 4)
        far = f"https://127.0.0.1:{nobody}"
        words = {
            "gateway": ["clients.cli", "gateway", str(node), "--socket", f"{folder}/no.sock", "--superlink", far,
                        "--root-certificates", str(made.authority), "--port", str(gateway)],
            "relay": ["coordinator.cli", "relay", str(run), *shown, "--port", str(relay)],
            "front": ["coordinator.cli", "superlink", "front", far, "--authority", str(made.authority), *shown,
                      "--port", str(front)],
        }  # fmt: skip
        alive = ["coordinator.cli", "alive", "--ca", str(made.authority)]
        site = Site(
            node,
            {one: _started(folder / f"{one}.log", words[one], mark) for one in words},
            {
                "gateway": ["clients.cli", "alive", f"http://127.0.0.1:{gateway}/health"],
                "relay": [*alive, f"https://127.0.0.1:{relay}"],
                "front": [*alive, f"https://127.0.0.1:{front}"],
                "gateway over tcp": ["clients.cli", "alive", f"tcp://127.0.0.1:{gateway}"],
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
        cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
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


@pytest.mark.parametrize("name", ["gateway", "relay", "front"])
def test_a_health_check_fails_when_its_process_was_killed(site: Site, name: str) -> None:
    site.running[name].kill()
    site.running[name].wait()
    code, said = site.ask(name)
    assert code == 1 and "does not answer" in said
