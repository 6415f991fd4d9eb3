"""A node ends when it is told to, and is alive until then, also while a call waits for a ledger that does not answer."""

from __future__ import annotations

import datetime
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from clients.door import Method, SocketDoor
from clients.errors import NodeError
from clients.node.register import Register
from coordinator.certificates import make_certificates
from tests.simulators.founded_run import copied, found
from tests.simulators.process_tree import becomes

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sends signals to processes")

END_S = 30.0
"""Seconds in which a node ends, by its reference; its decisions wait for 30, and with a relay for 240."""
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


@contextmanager
def waiting(node: Path, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a node, and ask it something that it decides by its ledger; its output lies beside the socket."""
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
        yield process
    finally:
        process.kill()
        process.wait()


def ended(node: Path, path: Path) -> tuple[int, str]:
    """End a node while a call waits; return its exit code and what it wrote."""
    with waiting(node, path) as process:
        process.send_signal(signal.SIGTERM)
        return process.wait(END_S), path.with_suffix(".log").read_text()


def alive(path: Path) -> tuple[int, str]:
    """Ask a node as the health check of its container does; return the exit code and what is said."""
    command = [sys.executable, "-P", "-m", "clients.cli", "alive", f"unix:{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_node_that_waits_for_the_other_members_ends(node: Path, tmp_path: Path) -> None:
    status, said = ended(node, tmp_path / "node.sock")
    assert status == 0
    assert "Traceback" not in said


def test_a_node_whose_relay_went_silent_ends(node: Path, tmp_path: Path, silent_relay: str) -> None:
    ended(node, tmp_path / "first.sock")  # it has a copy of the chain from now on
    config = node / "node.toml"
    ledger = str(tmp_path / "run" / "public")
    assert ledger in config.read_text()
    network = f'\n[network]\nrelay = "{silent_relay}"\nca = "{tmp_path}/tls/ca.crt"\n'
    config.write_text(config.read_text().replace(ledger, "/nowhere") + network)
    status, said = ended(node, tmp_path / "node.sock")
    assert status == 0
    assert "Traceback" not in said
    Register(node).close()  # what was left in the middle opens again


def test_a_node_that_waits_is_alive_and_a_frozen_one_is_not(node: Path, tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    with waiting(node, path) as process:
        with pytest.raises(NodeError, match="timed out"):
            SocketDoor(path, WAITS_S).call(Method.STATUS, b"")  # it waits behind the first call
        assert alive(path) == (0, f"unix:{path} answers\n")
        process.send_signal(signal.SIGSTOP)
        status, said = alive(path)
        assert status == 1 and "does not answer (timed out)" in said
        process.send_signal(signal.SIGCONT)
        assert becomes(lambda: alive(path)[0] == 0, 60.0)
