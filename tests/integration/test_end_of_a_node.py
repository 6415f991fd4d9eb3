"""A node ends when it is told to, also while a call waits for a ledger that does not answer."""

from __future__ import annotations

import datetime
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from clients.door import Method, SocketDoor
from clients.errors import NodeError
from clients.node.register import Register
from coordinator.certificates import make_certificates
from tests.simulators.founded_run import copied, found
from tests.simulators.process_tree import becomes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sends signals to processes")

END_S = 20.0
"""Seconds in which a node ends; its decisions wait for 30, and with a relay for 240."""
WAITS_S = 1.0
"""Seconds after which a call has come to where it waits."""


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("founded") / "run", rounds=1)


@pytest.fixture
def node(founded: Path, tmp_path: Path) -> Path:
    return min((copied(founded, tmp_path / "run") / "nodes").iterdir())


@pytest.fixture
def silent_relay(tmp_path: Path) -> Iterator[str]:
    """A relay that takes connections and says nothing, as one behind a line that was cut."""
    made = make_certificates(tmp_path / "tls", ["127.0.0.1"], now=datetime.datetime.now(datetime.UTC))
    assert made.authority == tmp_path / "tls" / "ca.crt"
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"


def ended(node: Path, path: Path) -> tuple[int, float, str]:
    """Serve a node, ask it something that it decides by its ledger, and end it; return status, seconds and what it wrote."""
    log = path.with_suffix(".log")
    command = [
        sys.executable,
        "-P",
        "-m",
        "clients.cli",
        "serve",
        str(node),
        "--socket",
        str(path),
        "--alone",
    ]
    with log.open("wb") as written:
        process = subprocess.Popen(command, stderr=written)
    try:
        assert becomes(path.is_socket, 60.0)

        def ask() -> None:
            with suppress(NodeError):
                SocketDoor(path).call(Method.BUNDLE, bytes(32))

        asked = threading.Thread(target=ask, daemon=True)
        asked.start()
        time.sleep(WAITS_S)
        assert asked.is_alive(), "the call waits"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = process.wait(END_S)
        return status, time.monotonic() - started, log.read_text()
    finally:
        process.kill()
        process.wait()


def test_a_node_that_waits_for_the_other_members_ends(node: Path, tmp_path: Path) -> None:
    status, _, said = ended(node, tmp_path / "node.sock")
    assert status == 0
    assert "Traceback" not in said


def test_a_node_whose_relay_went_silent_ends(node: Path, tmp_path: Path, silent_relay: str) -> None:
    ended(node, tmp_path / "first.sock")  # it has a copy of the chain from now on
    config = node / "node.toml"
    ledger = str(tmp_path / "run" / "public")
    assert ledger in config.read_text()
    network = f'\n[network]\nrelay = "{silent_relay}"\nca = "{tmp_path}/tls/ca.crt"\n'
    config.write_text(config.read_text().replace(ledger, "/nowhere") + network)
    status, _, said = ended(node, tmp_path / "node.sock")
    assert status == 0
    assert "Traceback" not in said
    Register(node).close()  # what was left in the middle opens again
