"""Answers ``GET /metrics`` in Prometheus' text format, on this machine only; what is counted is the caller's business."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fl_core.errors import InputError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ScrapeServer:
    """Answers on a loopback address until it is closed.

    Args:
        text: Returns all metrics in the exposition format.
        place: ``"127.0.0.1:9464"``; only loopback addresses are taken, since nobody is asked who they are.

    Raises:
        InputError: The address is none, is not a loopback address, or is taken.
    """

    def __init__(self, text: Callable[[], str], place: str) -> None:
        host, _, port = place.rpartition(":")
        fix = "Give a loopback address, for instance 127.0.0.1:9464; a proxy can carry it further."
        try:
            if not ipaddress.ip_address(host).is_loopback or not 0 <= int(port) < 1 << 16:
                raise ValueError(place)
            self._server = _Server((host, int(port)), _Handler)
        except ValueError as error:
            raise InputError(f"{place!r} is no loopback address and port.", fix=fix) from error
        except OSError as error:
            raise InputError(f"metrics cannot be served at {place} ({error.strerror}).", fix=fix) from error
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
