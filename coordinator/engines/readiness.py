"""How to tell from outside that a process is ready: four questions, each a function that answers at once or soon."""

from __future__ import annotations

import socket
import ssl
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


def healthy(port: int, authority: Path) -> Ready:
    """Ask whether a SuperLink on the loopback interface says that it is healthy; proxies are passed by.

    Args:
        port: Its port.
        authority: PEM file of the authority that vouches for it.
    """
    trust = ssl.create_default_context(cafile=str(authority))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )

    def ready() -> bool:
        try:
            with opener.open(f"https://{LOOPBACK}:{port}/health", timeout=_PROBE_S) as answer:
                return int(answer.status) == 200
        except OSError:  # refused, reset, timed out, not trusted, or an HTTP error
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
