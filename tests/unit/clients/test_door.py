"""The door: addresses, what a call costs when nobody is there, and what a peer can do to its caller."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest

from clients import door
from clients.door import (
    MAX_PAYLOAD,
    Method,
    SocketDoor,
    connect,
    receive_message,
    register,
    send_message,
    unregister,
)
from clients.errors import DoorError, PolicyRefusal
from fl_core.errors import DecodeError


class Upper:
    def call(self, method, payload):
        return payload.upper()


def test_a_node_in_the_same_process_is_found_by_its_name_until_it_is_forgotten():
    address = register("test-door", Upper())
    assert connect(address).call(Method.STATUS, b"x") == b"X"
    unregister("test-door")
    unregister("test-door")
    with pytest.raises(DoorError, match="no node 'test-door' lives in this process"):
        connect(address)


@pytest.mark.parametrize("address", ["", "unix", "unix:", "tcp:localhost:1", "/run/node.sock", "UNIX:/x"])
def test_what_is_no_address_is_refused_with_an_example(address):
    with pytest.raises(DoorError, match=r"unix:/path/to/node.sock"):
        connect(address)


def test_a_socket_address_is_only_tried_when_a_call_is_made():
    assert isinstance(connect("unix:/nowhere/node.sock"), SocketDoor)


@pytest.mark.parametrize("path", ["/nowhere/node.sock", "/" + "x" * 200, "/dev/null"])
def test_a_node_that_cannot_be_reached_is_a_door_error_with_a_remedy(path):
    with pytest.raises(DoorError, match="suture-node serve"):
        connect(f"unix:{path}").call(Method.STATUS, b"")


@pytest.fixture
def peer():
    """A function that serves one connection as the test says and returns the address."""
    threads = []
    with tempfile.TemporaryDirectory(prefix="su-") as folder:

        def serve(behaviour):
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            path = Path(folder) / f"{len(threads)}.sock"
            listener.bind(str(path))
            listener.listen()

            def run():
                with listener:
                    connection, _ = listener.accept()
                    with connection:
                        behaviour(connection)

            threads.append(threading.Thread(target=run))
            threads[-1].start()
            return path

        yield serve
        for thread in threads:
            thread.join(5)
            assert not thread.is_alive()


def answering(status, payload):
    def behaviour(connection):
        receive_message(connection)
        send_message(connection, status, payload)

    return behaviour


def test_the_three_kinds_of_answers(peer):
    assert SocketDoor(peer(answering(0, b"done"))).call(Method.BEGIN, b"x") == b"done"
    with pytest.raises(PolicyRefusal, match=r"^why$"):
        SocketDoor(peer(answering(1, b"why"))).call(Method.BEGIN, b"x")
    for status in (2, 3, 255):
        with pytest.raises(DoorError, match=r"^what$"):
            SocketDoor(peer(answering(status, b"what"))).call(Method.BEGIN, b"x")


def test_an_error_text_that_is_not_utf_8_is_still_an_error(peer):
    with pytest.raises(PolicyRefusal):
        SocketDoor(peer(answering(1, b"\xff\xfe"))).call(Method.BEGIN, b"")


def test_a_peer_that_announces_too_much_is_a_door_error(peer):
    def behaviour(connection):
        receive_message(connection)
        connection.sendall(b"\x00" + (MAX_PAYLOAD + 1).to_bytes(8, "big"))

    with pytest.raises(DoorError, match="is no node"):
        SocketDoor(peer(behaviour)).call(Method.BEGIN, b"x")


@pytest.mark.parametrize(
    "sent", [b"", b"\x00", b"\x00" + bytes(7), b"\x00" + (5).to_bytes(8, "big") + b"four"]
)
def test_an_answer_that_breaks_off_is_a_door_error(peer, sent):
    def behaviour(connection):
        receive_message(connection)
        connection.sendall(sent)

    with pytest.raises(DoorError, match="closed in the middle"):
        SocketDoor(peer(behaviour)).call(Method.BEGIN, b"x")


def test_a_silent_node_is_waited_for_as_long_as_the_caller_says(peer):
    def behaviour(connection):
        receive_message(connection)
        connection.recv(1)

    started = time.monotonic()
    with pytest.raises(DoorError, match="timed out"):
        SocketDoor(peer(behaviour), timeout_s=0.2).call(Method.BEGIN, b"x")
    assert time.monotonic() - started < 3


def test_a_message_is_one_byte_eight_bytes_of_length_and_the_payload():
    left, right = socket.socketpair()
    with left, right:
        send_message(left, 3, b"abc")
        assert right.recv(100) == b"\x03" + (3).to_bytes(8, "big") + b"abc"
        right.sendall(b"\x04" + bytes(8))
        assert receive_message(left) == (4, b"")


def test_an_announced_size_is_checked_before_memory_is_taken_for_it():
    left, right = socket.socketpair()
    with left, right:
        right.sendall(b"\x00" + (1 << 63).to_bytes(8, "big"))
        with pytest.raises(DecodeError, match="bytes are accepted"):
            receive_message(left)


def test_every_call_has_a_number_of_its_own():
    assert len({method.value for method in Method}) == len(Method.__members__) == 13
    assert all(0 < method.value < 256 for method in Method)
    assert door.MAX_PAYLOAD < 1 << 64
