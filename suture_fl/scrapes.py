"""Answers ``GET /metrics`` in Prometheus' text format, on this machine or in a container's network; what is counted is the caller's business.

Nobody is asked who they are. So all interfaces of a machine and addresses of the internet are never listened on, and of a private
network's address the log says who can read there.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fl_core.errors import InputError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FIX = (
    "Give a loopback address, for instance 127.0.0.1:9464; in a container the name or address that it has in the network of "
    "the collector alone."
)


def listening_place(place: str) -> tuple[str, int]:
    """Return the IPv4 address and port that ``place`` names; a name is looked up once.

    Raises:
        InputError: It names none, or one that is the internet's or stands for all of this machine's.
    """
    host, _, number = place.rpartition(":")
    try:
        port = int(number)
        if not host or not 0 <= port < 1 << 16:
            raise ValueError(place)
        address = str(socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except (ValueError, OSError) as error:
        raise InputError(f"{place!r} is no address and port that is known here.", fix=FIX) from error
    found = ipaddress.ip_address(address)
    if found.is_unspecified or found.is_multicast or found.is_global:
        raise InputError(f"metrics at {place} could be read by anybody: it is no loopback address.", fix=FIX)
    return address, port


class ScrapeServer:
    """Answers on a loopback address, or on one of a container's network, until it is closed.

    Args:
        text: Returns all metrics in the exposition format.
        place: ``"127.0.0.1:9464"``; of another address than a loopback one a warning is logged.

    Raises:
        InputError: See :func:`listening_place`; or the address is not this machine's, or is taken.
    """

    def __init__(self, text: Callable[[], str], place: str) -> None:
        address, port = listening_place(place)
        try:
            self._server = _Server((address, port), _Handler)
        except OSError as error:
            raise InputError(f"metrics cannot be served at {place} ({error.strerror}).", fix=FIX) from error
        if not ipaddress.ip_address(address).is_loopback:
            logging.getLogger("suture.metrics").warning(
                "metrics at %s are shown to whoever reaches %s: nobody is asked who they are", place, address
            )
        self._server.text = text
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            name="suture-metrics",
            kwargs={"poll_interval": 0.2},
            daemon=True,
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    text: Callable[[], str]

    def server_bind(self) -> None:
        """Bind without asking a name server who this machine is: a container's network may have none that answers."""
        socketserver.TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "suture"
    sys_version = ""
    timeout = 10.0

    def do_GET(self) -> None:
        """Answer with the metrics, or 404."""
        if self.path != "/metrics":
            self.send_error(404)
            return
        body = self.server.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: scrapes are no events."""
