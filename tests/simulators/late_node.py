"""A hospital's own node of a chain: behind a password, and some time behind the node that the coordinator asks.

It passes everything on to the real node, as of the newest block that is old enough.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.simulators.rpc_server import send, serving

USER, PASSWORD = "hospital", "open-sesame"
ANSWER_S, LOOK_S = 9.0, 0.1
_TAG = {
    "eth_getBlockByNumber": 0,
    "eth_call": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_estimateGas": 1,
}
"""Where a method's parameters have the block."""


_HEIGHT = "eth_blockNumber"


def height_of(url: str) -> int:
    """Return the newest block that a node has.

    Args:
        url: The node; may have a user and a password.
    """
    return int(_ask(url, {"jsonrpc": "2.0", "id": 1, "method": _HEIGHT, "params": []})["result"], 16)


def _ask(url: str, request: dict[str, Any]) -> dict[str, Any]:
    place = urlsplit(url)
    headers = {"Content-Type": "application/json"}
    if place.username:
        headers["Authorization"] = _credentials(place.username, place.password or "")
    bare = place._replace(netloc=place.netloc.rpartition("@")[2]).geturl()
    asked = urllib.request.Request(bare, json.dumps(request).encode(), headers)
    with urllib.request.urlopen(asked, timeout=ANSWER_S) as reply:
        answer: dict[str, Any] = json.load(reply)
    return answer


def _credentials(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class LateNode:
    """What the node knows.

    Args:
        url: The real node.
        late_s: By how many seconds it is behind.
    """

    def __init__(self, url: str, late_s: float) -> None:
        self._url, self._late_s = url, late_s
        self._seen: list[tuple[float, int]] = [(float("-inf"), 0)]
        self.closed = threading.Event()

    def look(self) -> None:
        """Note new blocks until it is closed; a node that does not answer is asked again."""
        while not self.closed.wait(LOOK_S):
            with suppress(
                OSError, HTTPException, ValueError, KeyError
            ):  # it stops in the middle of an answer
                height = height_of(self._url)
                if height > self._seen[-1][1]:
                    self._seen.append((time.monotonic(), height))

    @property
    def height(self) -> int:
        """The newest block that it has."""
        return max(height for at, height in self._seen if at <= time.monotonic() - self._late_s)

    def answer(self, handler: BaseHTTPRequestHandler, request: dict[str, Any]) -> None:
        """Answer one request."""
        if handler.headers.get("Authorization") != _credentials(USER, PASSWORD):
            send(handler, b"", status=401)
            return
        method, params, height = str(request["method"]), list(request["params"]), self.height
        if method == _HEIGHT:
            send(handler, json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": hex(height)}).encode())
            return
        if method in _TAG:
            place = _TAG[method]
            params[place:] = [
                _no_newer(params[place] if place < len(params) else "latest", height),
                *params[place + 1 :],
            ]
        elif method == "eth_getLogs":
            params = [params[0] | {"toBlock": _no_newer(params[0]["toBlock"], height)}]
        answer = _ask(self._url, {**request, "params": params})
        found = answer.get("result")
        if isinstance(found, dict) and found.get("blockNumber") and int(found["blockNumber"], 16) > height:
            answer["result"] = None  # it has not come here yet
        send(handler, json.dumps(answer).encode())


def _no_newer(tag: str, height: int) -> str:
    return hex(height if tag == "latest" else min(int(tag, 16), height))


@contextmanager
def late_node(url: str, late_s: float) -> Iterator[str]:
    """Run the node; gives its URL, with user and password."""
    node = LateNode(url, late_s)
    looking = threading.Thread(target=node.look)
    looking.start()
    try:
        with serving(node.answer) as place:
            yield place.replace("http://", f"http://{USER}:{PASSWORD}@")
    finally:
        node.closed.set()
        looking.join()
