"""A node that passes everything on to a real one, and lies about some of it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from ledger.chain.jsonrpc import data
from ledger.light.header import Header
from ledger.light.qbft import block_hash
from ledger.light.receipts import _receipt, receipts_root
from tests.simulators.rpc_server import send, serving

Lie = Callable[[str, list[Any], Any], Any]
"""Gets method, parameters and the honest result; returns what is said instead."""


@contextmanager
def lying(url: str, lie: Lie) -> Iterator[str]:
    """Run the node; gives its URL."""

    def answer(handler: BaseHTTPRequestHandler, request: dict[str, object]) -> None:
        body = json.dumps(request).encode()
        asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=300) as reply:
            honest = json.load(reply)
        if "result" in honest:
            honest["result"] = lie(str(request["method"]), list(request.get("params", [])), honest["result"])  # type: ignore[call-overload]
        send(handler, json.dumps(honest).encode())

    with serving(answer) as place:
        yield place


def consistent(block: dict[str, Any], **change: str) -> dict[str, Any]:
    """Return a changed block whose hash follows from its fields."""
    changed = {**block, **change}
    return {**changed, "hash": data(block_hash(Header.of(changed)))}


def root_of(receipts: list[dict[str, Any]]) -> str:
    """Return the root that a header of a block with these receipts has."""
    return data(receipts_root([_receipt(item).encoded for item in receipts]))
