"""The node's server over a real Unix socket: it answers, refuses, and survives whatever connects."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

import pytest

from clients.cli.serve import _serve
from clients.door import MAX_PAYLOAD, Method, SocketDoor, receive_message, send_message
from clients.errors import DoorError, NodeStateError, PolicyRefusal
from clients.node import server as server_module
from clients.node.new_house import create_house
from clients.node.policy import Policy
from clients.node.server import MAX_SOCKET_PATH, NodeServer, serve_alone
from fl_core.errors import InputError, VerificationError
from fl_core.randomness import SystemRandomSource
from tests.simulators.consortium import Consortium

ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture
def folder():
    """A folder with a short path: a socket's path may have about 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="su-") as name:
        yield Path(name)


def test_one_server_serves_a_folder_whatever_its_socket_is_called(folder):
    house = folder / "node"
    create_house(house, "A", b"age\n1\n", Policy(tasks=()), random=SystemRandomSource(), scrypt_cost=2)
    lock = serve_alone(house)
    with pytest.raises(InputError, match="another suture-node serve runs for"):
        _serve(house, folder / "second.sock", None, None, None, None)
    assert not (folder / "second.sock").exists()
    os.close(lock)
    os.close(serve_alone(house))


class Echo:
    """Stands where a node stands, and does what the test says."""

    def __init__(self, answer=lambda method, payload: payload):
        self.answer = answer

    def call(self, method, payload):
        return self.answer(method, payload)


@pytest.fixture
def serve(folder):
    running = []

    def start(node=None):
        server = NodeServer(node or Echo(), folder / "node.sock")
        running.append((server, server.start()))
        return folder / "node.sock"

    yield start
    for server, thread in running:
        server.close()
        thread.join(5)
        assert not thread.is_alive()


def raw(path, data, *, half_close=False):
    """Send bytes to the socket and return the answer, or None when the node hangs up without one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        try:
            return receive_message(connection)
        except ConnectionError:
            return None


def still_answers(path):
    return SocketDoor(path, 5).call(Method.STATUS, b"ping") == b"ping"


# ---------------------------------------------------------------------- answers


def test_a_whole_round_goes_through_the_socket(tmp_path, serve):
    consortium = Consortium(tmp_path)
    header = consortium.open_round()
    holder = consortium.holders[0]
    door = SocketDoor(serve(holder.node), 10)
    assert json.loads(door.call(Method.STATUS, b""))["account"] == holder.account.hex()
    direct, holder.node = holder.node, door
    assert consortium.begin(0, header).round == 1
    frame = consortium.protect(0, header)
    holder.node = direct
    assert consortium.protect(0, header) == frame
    consortium.close()


@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_payloads_of_every_size_come_back(serve, size):
    payload = os.urandom(size)
    assert SocketDoor(serve(), 10).call(Method.PROTECT, payload) == payload


def test_a_refusal_and_an_error_are_told_apart(serve):
    def answer(method, payload):
        raise {Method.BEGIN: PolicyRefusal("no, and why"), Method.PROTECT: VerificationError("check (3) failed"),
               Method.REVEAL: NodeStateError("damaged")}[method]  # fmt: skip

    door = SocketDoor(serve(Echo(answer)), 5)
    with pytest.raises(PolicyRefusal, match=r"^no, and why$"):
        door.call(Method.BEGIN, b"")
    with pytest.raises(DoorError, match=r"^check \(3\) failed$"):
        door.call(Method.PROTECT, b"")
    with pytest.raises(PolicyRefusal, match="damaged"):
        door.call(Method.REVEAL, b"")


@pytest.mark.parametrize("bug", [KeyError("a secret"), ValueError("a secret"), ZeroDivisionError("a secret")])
def test_a_bug_inside_the_node_is_a_generic_answer_without_its_text(serve, bug, caplog):
    def answer(method, payload):
        if payload == b"ping":
            return payload
        raise bug

    path = serve(Echo(answer))
    with pytest.raises(DoorError) as caught:
        SocketDoor(path, 5).call(Method.BEGIN, b"")
    assert "secret" not in str(caught.value)
    assert "its log says why" in str(caught.value)
    assert "a secret" in caplog.text
    assert still_answers(path)


# ---------------------------------------------------------------------- hostile peers


@pytest.mark.parametrize("code", [0, 13, 255])
def test_an_unknown_call_is_refused(serve, code):
    path = serve()
    assert raw(path, bytes([code]) + bytes(8)) == (2, b"the node knows no such call")
    assert still_answers(path)


@pytest.mark.parametrize("size", [MAX_PAYLOAD + 1, (1 << 64) - 1])
def test_an_announcement_beyond_the_limit_gets_an_error_text_before_anything_is_read(serve, size):
    path = serve()
    status, text = raw(path, b"\x01" + size.to_bytes(8, "big"))
    assert status == 2
    assert b"bytes are accepted" in text
    assert still_answers(path)


def test_garbage_and_broken_connections_do_not_end_the_node(serve):
    path = serve()
    for garbage in (
        b"",
        b"\x01",
        b"\x01" + bytes(7),
        b"GET / HTTP/1.1\r\n\r\n",
        os.urandom(64),
        b"\x01" + (9).to_bytes(8, "big") + b"short",
    ):
        raw(path, garbage, half_close=True)
        assert still_answers(path)


def test_a_peer_that_leaves_before_its_answer_does_not_end_the_node(serve):
    path = serve()
    for _ in range(20):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            send_message(connection, Method.STATUS.value, bytes(1000))
    assert still_answers(path)


def test_a_silent_peer_is_cut_off_and_keeps_nobody_waiting(serve, monkeypatch):
    monkeypatch.setattr(server_module, "IDLE_TIMEOUT_S", 0.2)
    path = serve()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.settimeout(5)
        silent.connect(str(path))
        silent.sendall(b"\x01")
        assert still_answers(path)
        assert silent.recv(1) == b""


def test_many_peers_at_once_are_all_answered(serve):
    path, answers = serve(), []
    threads = [
        threading.Thread(
            target=lambda n=n: answers.append(SocketDoor(path, 10).call(Method.STATUS, bytes([n])))
        )
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [bytes([n]) for n in range(16)]


# ---------------------------------------------------------------------- the socket itself


def test_only_the_owner_can_reach_the_socket(serve):
    assert stat.S_IMODE(serve().stat().st_mode) == 0o600


def test_a_path_too_long_for_a_socket_is_an_input_error(folder):
    longest = folder / ("x" * (MAX_SOCKET_PATH - len(str(folder)) - 1))
    NodeServer(Echo(), longest).close()
    with pytest.raises(InputError, match="too long for a Unix socket"):
        NodeServer(Echo(), longest.with_name(longest.name + "x"))


def test_a_socket_in_a_folder_that_does_not_exist_is_refused_with_the_command_that_makes_it(folder):
    with pytest.raises(InputError, match="no socket can be made") as caught:
        NodeServer(Echo(), folder / "no where" / "node.sock")
    assert f"there is no folder {folder / 'no where'}" in caught.value.message
    assert caught.value.fix.startswith(f"Make it with mkdir -p '{folder / 'no where'}', or")


def test_a_socket_in_a_file_is_refused_with_the_systems_reason(folder):
    (folder / "file").write_text("")
    with pytest.raises(InputError, match=r"no socket can be made at .* \(Not a directory\)"):
        NodeServer(Echo(), folder / "file" / "node.sock")


def test_a_second_server_is_refused_while_the_first_one_serves(serve):
    path = serve()
    with pytest.raises(InputError, match=r"served at .* already"):
        NodeServer(Echo(), path)
    assert still_answers(path)


@pytest.mark.parametrize(
    "make", [lambda p: p.write_text("mine"), Path.mkdir, lambda p: p.symlink_to("/nowhere")]
)
def test_a_file_that_is_no_socket_is_left_alone(folder, make):
    path = folder / "node.sock"
    make(path)
    with pytest.raises(InputError, match="is no socket"):
        NodeServer(Echo(), path)
    assert path.is_symlink() or path.exists()


def test_closing_removes_the_socket_and_does_not_wait_for_a_server_that_never_served(folder):
    server = NodeServer(Echo(), folder / "node.sock")
    server.close()
    assert not (folder / "node.sock").exists()
    with pytest.raises(DoorError, match="does not answer"):
        SocketDoor(folder / "node.sock", 1).call(Method.STATUS, b"")


KILLED = """
import sys, time
from pathlib import Path
from clients.node.server import NodeServer
NodeServer(None, Path(sys.argv[1])).start()
print("serving", flush=True)
time.sleep(60)
"""


def test_after_kill_9_the_node_starts_again_at_the_same_path(folder, serve):
    path = folder / "node.sock"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as child:
        assert child.stdout.readline() == b"serving\n"
        os.kill(child.pid, signal.SIGKILL)
    assert path.is_socket()
    with pytest.raises(DoorError):
        SocketDoor(path, 1).call(Method.STATUS, b"")
    assert still_answers(serve())


# ---------------------------------------------------------------------- while nobody calls


def test_a_server_tidies_up_when_it_begins_and_now_and_then_and_survives_an_error_of_it(
    folder, monkeypatch, caplog
):
    monkeypatch.setattr(server_module, "TIDY_S", 0.1)
    times = []

    def tidy():
        times.append(time.monotonic())
        if len(times) == 1:
            raise NodeStateError("a seed is damaged.")

    server = NodeServer(Echo(), folder / "node.sock", tidy=tidy)
    thread = server.start()
    end = time.monotonic() + 10
    while len(times) < 3 and time.monotonic() < end:
        time.sleep(0.02)
    assert still_answers(folder / "node.sock")
    server.close()
    thread.join(5)
    assert len(times) >= 3
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(times))
    assert "tidying up failed: a seed is damaged." in caplog.text
