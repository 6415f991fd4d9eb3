"""The one door between the glue and the node: a few calls, bytes in and bytes out.

The glue (:mod:`clients.app`) runs in a process that Flower starts and whose code a bundle can bring; it must never see a key.
It reaches the node through a :class:`Door`:

* ``unix:/path/to/socket`` - the node is a process of its own (deployment);
* ``inproc:name`` - the node lives in this process (the local engine, tests), registered under ``name``.

On the socket a call is one byte for the method and a length-prefixed payload, an answer one byte (0 = done, 1 = refused,
2 = failed) and a length-prefixed payload; both are bounded by :data:`MAX_PAYLOAD`. One connection carries one call.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from enum import Enum
from io import BytesIO
from pathlib import Path
from typing import Protocol

from clients.errors import DoorError, PolicyRefusal
from fl_core.codec import Reader, Writer
from fl_core.errors import DecodeError

MAX_PAYLOAD = 1 << 33  # bytes: a model of 1e9 parameters in float32, twice
CALL_TIMEOUT_S = 300.0
"""Longest wait for a node's answer; encrypting 1e9 parameters takes about ten seconds."""


class Method(Enum):
    """The calls a node answers."""

    STATUS = 1
    BEGIN = 2
    PROTECT = 3
    REVEAL = 4
    PLAIN = 5
    CHECK = 6
    BLAME = 7
    BUNDLE = 8
    WEIGHT = 9
    TIMES = 10
    PING = 11
    REACHED = 12
    CKKS = 16


ACCEPTED, NOT_ACCEPTED = b"\x01", b"\x00"
"""The node's answers about a bundle."""


class Door(Protocol):
    """What a node does for its glue."""

    def call(self, method: Method, payload: bytes) -> bytes:
        """Make one call.

        Raises:
            PolicyRefusal: The node says no; the text says why.
            DoorError: The call failed or the node cannot be reached.
        """
        ...


_registered: dict[str, Door] = {}
_lock = threading.Lock()


def register(name: str, door: Door) -> str:
    """Make an in-process node reachable and return its address."""
    with _lock:
        _registered[name] = door
    return f"inproc:{name}"


def unregister(name: str) -> None:
    """Forget an in-process node; unknown names are ignored."""
    with _lock:
        _registered.pop(name, None)


def connect(address: str) -> Door:
    """Return the door at ``address``.

    Raises:
        DoorError: The address has no known form, or no node is registered there.
    """
    kind, _, place = address.partition(":")
    if kind == "inproc":
        with _lock:
            door = _registered.get(place)
        if door is None:
            raise DoorError(f"no node {place!r} lives in this process.", fix="Start the node first.")
        return door
    if kind == "unix" and place:
        return SocketDoor(Path(place))
    raise DoorError(f"{address!r} is no node address.", fix='Use "unix:/path/to/node.sock".')


class SocketDoor:
    """A door over a Unix socket.

    Args:
        path: The node's socket.
        timeout_s: Longest wait for one answer, in seconds.
    """

    def __init__(self, path: Path, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def call(self, method: Method, payload: bytes) -> bytes:
        """Make one call over a connection of its own."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self._timeout_s)
                connection.connect(str(self._path))
                with suppress(BrokenPipeError, ConnectionResetError):
                    # A node that refuses early answers and hangs up while we still send; its answer waits to be read.
                    send_message(connection, method.value, payload)
                status, answer = receive_message(connection)
        except OSError as error:
            raise DoorError(
                f"the node at {self._path} does not answer ({error}).",
                fix="Start it with `suture-node serve`.",
            ) from error
        except DecodeError as error:
            raise DoorError(f"what answers at {self._path} is no node ({error}).") from error
        if status == 0:
            return answer
        text = answer.decode(errors="replace")
        raise PolicyRefusal(text) if status == 1 else DoorError(text)


def send_message(connection: socket.socket, code: int, payload: bytes) -> None:
    """Send one code and one payload."""
    w = Writer()
    w.uint(code, 1)
    w.uint(len(payload), 8)
    connection.sendall(w.bytes())
    if payload:  # an empty send fails once the peer, which has all it needs, answered and hung up
        connection.sendall(payload)


def receive_message(connection: socket.socket) -> tuple[int, bytes]:
    """Receive one code and one payload.

    Raises:
        DecodeError: The payload is larger than :data:`MAX_PAYLOAD`.
        ConnectionError: The peer closed the connection early.
    """
    r = Reader(_receive(connection, 9), limit=9, what="door message")
    code, size = r.uint(1), r.uint(8)
    r.end()
    if size > MAX_PAYLOAD:
        raise DecodeError(f"door message: at most {MAX_PAYLOAD} bytes are accepted, {size} are announced")
    return code, _receive(connection, size)


def _receive(connection: socket.socket, size: int) -> bytes:
    received = BytesIO()
    while received.tell() < size:
        piece = connection.recv(min(1 << 20, size - received.tell()))
        if not piece:
            raise ConnectionError("the connection closed in the middle of a message")
        received.write(piece)
    return received.getvalue()  # which copies nothing
