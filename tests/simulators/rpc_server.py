"""A web server in a thread that answers JSON-RPC requests as a test tells it: honestly, wrongly, slowly, or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, dict[str, object]], None]
"""Writes the answer to one request; gets the handler and the decoded request."""


def send(handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, **headers: str) -> None:
    """Send one complete answer."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def result(handler: BaseHTTPRequestHandler, request: dict[str, object], value: object) -> None:
    """Send a result."""
    send(handler, json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": value}).encode())


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Run the server; gives its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                answer(self, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            except OSError:
                self.close_connection = True  # whoever asked has gone

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
