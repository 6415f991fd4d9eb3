"""Numbers about a running node for a monitoring system: Prometheus' text format over HTTP, on this machine only.

Off unless asked for. Nothing here is about data: how often each call was answered and how, how long it took, how many bytes left. The
names are in ``docs/reference/metrics.md``; the format is version 0.0.4 of the exposition format
(https://prometheus.io/docs/instrumenting/exposition_formats/).
"""

from __future__ import annotations

import ipaddress
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fl_core.errors import InputError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Upper ends of the histogram of answering times, in seconds."""


class Metrics:
    """What is counted; safe for threads.

    Args:
        folder: The node's folder, for the room on its disk.
        left: Returns entries of the logbook and bytes that left.
        started: Unix time of the start, in seconds.
    """

    def __init__(self, folder: Path, left: Callable[[], tuple[int, int]], started: int) -> None:
        self._folder, self._left, self._started = folder, left, started
        self._lock = threading.Lock()
        self._calls: Counter[tuple[str, str]] = Counter()
        self._buckets: Counter[tuple[str, float]] = Counter()
        self._seconds: Counter[str] = Counter()

    def observe(self, method: str, outcome: str, seconds: float) -> None:
        """Count one call of the door.

        Args:
            method: The call's name, or ``"unknown"``.
            outcome: ``"done"``, ``"refused"`` or ``"failed"``.
            seconds: How long it took.
        """
        with self._lock:
            self._calls[method, outcome] += 1
            self._seconds[method] += seconds  # type: ignore[assignment]  # a sum of floats
            for bound in BUCKETS_S:
                if seconds <= bound:
                    self._buckets[method, bound] += 1

    def text(self) -> str:
        """Return all metrics in the exposition format."""
        with self._lock:
            return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        entries, size = self._left()
        yield from _family("suture_node_calls_total", "counter", "Calls of the door by outcome.")
        for (method, outcome), count in sorted(self._calls.items()):
            yield f'suture_node_calls_total{{method="{method}",outcome="{outcome}"}} {count}'
        yield from _family("suture_node_call_seconds", "histogram", "How long calls took.")
        for method in sorted(self._seconds):
            total = sum(count for (name, _), count in self._calls.items() if name == method)
            for bound in BUCKETS_S:
                yield f'suture_node_call_seconds_bucket{{method="{method}",le="{bound:g}"}} {self._buckets[method, bound]}'
            yield f'suture_node_call_seconds_bucket{{method="{method}",le="+Inf"}} {total}'
            yield f'suture_node_call_seconds_sum{{method="{method}"}} {self._seconds[method]:.6f}'
            yield f'suture_node_call_seconds_count{{method="{method}"}} {total}'
        for name, kind, about, value in (
            ("suture_node_left_bytes_total", "counter", "Bytes that left the house, by the logbook.", size),
            ("suture_node_logbook_entries", "gauge", "Entries of the logbook.", entries),
            (
                "suture_node_disk_free_bytes",
                "gauge",
                "Room on the disk.",
                shutil.disk_usage(self._folder).free,
            ),
            ("suture_node_start_time_seconds", "gauge", "When the node was started.", self._started),
        ):
            yield from _family(name, kind, about)
            yield f"{name} {value}"


def _family(name: str, kind: str, about: str) -> tuple[str, str]:
    return f"# HELP {name} {about}", f"# TYPE {name} {kind}"


class MetricsServer:
    """Answers ``GET /metrics`` on a loopback address until it is closed.

    Args:
        metrics: What to show.
        place: ``"127.0.0.1:9464"``; only loopback addresses are taken, since nobody is asked who they are.

    Raises:
        InputError: The address is none, is not a loopback address, or is taken.
    """

    def __init__(self, metrics: Metrics, place: str) -> None:
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
        self._server.metrics = metrics
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
    metrics: Metrics


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "suture-node"
    sys_version = ""
    timeout = 10.0

    def do_GET(self) -> None:
        """Answer with the metrics, or 404."""
        if self.path != "/metrics":
            self.send_error(404)
            return
        body = self.server.metrics.text().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: scrapes are no events."""
