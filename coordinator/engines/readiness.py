"""How to tell from outside that a process is ready: four questions, each a function that answers at once or soon."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

from coordinator.engines.ports import LOOPBACK

Ready = Callable[[], bool]
"""Asks once; takes at most about a second."""

_PROBE_S = 1.0


def accepts(path: Path) -> Ready:
    """Ask whether somebody accepts connections on the Unix socket ``path``; the connection is closed unused.

    A socket file alone would not do: it is there before its owner listens, and after its owner died.
    """

    def ready() -> bool:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(_PROBE_S)
            try:
                probe.connect(str(path))
            except OSError:
                return False
            return True

    return ready


def healthy(port: int) -> Ready:
    """Ask whether a SuperLink on the loopback interface says that it is healthy; proxies are passed by."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ready() -> bool:
        try:
            with opener.open(f"http://{LOOPBACK}:{port}/health", timeout=_PROBE_S) as answer:
                return int(answer.status) == 200
        except OSError:  # refused, reset, timed out, or an HTTP error
            return False

    return ready


def listens(port: int) -> Ready:
    """Ask whether somebody accepts connections on a TCP port of the loopback interface."""

    def ready() -> bool:
        try:
            with socket.create_connection((LOOPBACK, port), _PROBE_S):
                return True
        except OSError:
            return False

    return ready


def says(log: Path, words: bytes) -> Ready:
    """Ask whether a log file holds ``words``."""

    def ready() -> bool:
        return words in log.read_bytes()

    return ready
