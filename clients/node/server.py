"""Serves a node on a Unix socket: one connection, one call.

Only the user that runs the node can connect, and the group that ``serve --glue-user`` gives the socket to. Without such a user the glue
runs as the node's: the process boundary then keeps keys out of its memory but not out of its reach. A peer can send garbage, too much or
nothing: it gets an error text and the node goes on. Errors of our own become a generic answer and a log line; the text never
holds data.

Two calls are answered here, while a decision of the node waits for the ledger: a health check's ping and what the lookout tells.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from pathlib import Path

from clients.door import Method, receive_message, send_message
from clients.errors import NodeError
from clients.node.reached import Reached
from clients.node.service import Node
from fl_core.errors import DecodeError, InputError, SutureError

IDLE_TIMEOUT_S = 60.0
"""A glue that connects and stays silent is cut off after this long."""

TIDY_S = 600.0
"""Seconds between two times of tidying up."""

MAX_SOCKET_PATH = 100  # bytes; Linux allows 108, macOS 104

_METHODS = frozenset(method.value for method in Method)

_OUTCOMES = ("done", "refused", "failed")
Observe = Callable[[str, str, float], None]
"""Told name, outcome and duration in seconds of each call; see :meth:`clients.node.metrics.Metrics.observe`."""

log = logging.getLogger("suture.node")


def unobserved(method: str, outcome: str, seconds: float) -> None:
    """Count nothing."""


class NodeServer:
    """Serves ``node`` at ``path`` until :meth:`close`.

    Args:
        node: Answers the calls.
        path: Of the socket.
        tidy: Called once when serving begins and then every :data:`TIDY_S`, whether anybody calls or not.
        observe: Told how each call went.

    Raises:
        InputError: The path is too long for a Unix socket, its folder is missing, or a node is already served there.
    """

    def __init__(
        self,
        node: Node,
        path: Path,
        *,
        tidy: Callable[[], None] = lambda: None,
        observe: Observe = unobserved,
    ) -> None:
        if len(os.fsencode(path)) > MAX_SOCKET_PATH:
            raise InputError(
                f"{path} is too long for a Unix socket ({MAX_SOCKET_PATH} bytes at most).",
                fix="Choose a shorter --socket.",
            )
        _make_way(path)
        self._path = path
        self._started = False
        try:
            self._server = _Server(str(path), _Handler)
        except FileNotFoundError as error:
            raise InputError(
                f"no socket can be made at {path}: there is no folder {path.parent}.",
                fix=f"Make it with mkdir -p {shlex.quote(str(path.parent))}, or choose another --socket.",
            ) from error
        except OSError as error:
            raise InputError(
                f"no socket can be made at {path} ({error.strerror}).", fix="Choose another --socket."
            ) from error
        self._server.node, self._server.tidy, self._server.observe = node, tidy, observe
        self._server.reached = Reached()
        path.chmod(0o600)

    def serve(self) -> None:
        """Answer calls until another thread calls :meth:`close`."""
        self._started = True
        self._server.serve_forever(poll_interval=0.2)

    def start(self) -> threading.Thread:
        """Answer calls in a background thread."""
        self._started = True
        thread = threading.Thread(target=self.serve, name="suture-node", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Stop answering and remove the socket."""
        if self._started:  # shutdown() of a server that never served would wait for ever
            self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def serve_alone(folder: Path) -> int:
    """Keep other servers of a node's folder out until this process ends: two would share one register and answer in turns.

    Returns:
        A descriptor that holds the lock; nothing is written.

    Raises:
        InputError: A node serves from that folder already.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(
            f"another suture-node serve runs for {folder}.", fix="Stop it first; one node has one server."
        ) from error
    except OSError as error:  # a file system without locks: the once-only register has its own
        log.warning("%s cannot be locked (%s); see that one server runs only", folder, error.strerror)
    return descriptor


def _make_way(path: Path) -> None:
    """Remove the socket of a node that was killed; a socket where somebody answers, or any other file, stays.

    Raises:
        InputError: Something is there that is not a dead node's socket.
    """
    if path.is_socket():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
                return
        raise InputError(
            f"a node is served at {path} already.", fix="Stop it first, or choose another --socket."
        )
    if path.exists() or path.is_symlink():
        raise InputError(f"{path} exists and is no socket.", fix="Choose another --socket.")


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128  # a caller beyond the queue is turned away at once, not made to wait
    node: Node
    observe: Observe
    reached: Reached
    tidy: Callable[[], None]
    _tidied: float | None = None

    def service_actions(self) -> None:
        """Called by the standard library between two calls, several times a second."""
        now = time.monotonic()
        if self._tidied is None or now - self._tidied >= TIDY_S:
            self._tidied = now
            try:
                self.tidy()
            except (SutureError, OSError) as error:  # serving goes on; the next time may do better
                log.warning("tidying up failed: %s", error)


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.settimeout(IDLE_TIMEOUT_S)
        try:
            try:
                code, payload = receive_message(self.request)
            except DecodeError as error:
                status, answer = 2, str(error).encode()
            else:
                status, answer = self._answer(code, payload)
            send_message(self.request, status, answer)
        except OSError as error:
            log.warning("a call at the door broke off: %s", error)

    def _answer(self, code: int, payload: bytes) -> tuple[int, bytes]:
        """Answer, and tell how it went and how long it took."""
        started = time.perf_counter()
        status, answer = self._ask(code, payload)
        name = Method(code).name.lower() if code in _METHODS else "unknown"
        self.server.observe(name, _OUTCOMES[status], time.perf_counter() - started)
        return status, answer

    def _ask(self, code: int, payload: bytes) -> tuple[int, bytes]:
        if code not in _METHODS:
            return 2, b"the node knows no such call"
        try:
            if code == Method.PING.value:
                return 0, b""
            if code == Method.REACHED.value:
                self.server.reached.note(payload)
                return 0, b""
            return 0, self.server.node.call(Method(code), payload)
        except NodeError as error:
            log.info("refused: %s", error, extra={"event": "call-refused"})
            return 1, str(error).encode()
        except SutureError as error:
            log.warning("failed: %s", error, extra={"event": "call-failed"})
            return 2, str(error).encode()
        except Exception:  # a bug of ours must not take the node down; its text could hold anything
            log.exception("a call failed inside the node")
            return 2, b"the node failed on this call; its log says why"
