"""A node that is away is waited for; one that is slow, endless or talks nonsense holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest

from ledger.chain import http
from ledger.chain.connection import Web3Connection
from ledger.errors import ChainUnreachable
from tests.simulators.rpc_server import result, send, serving

pytestmark = pytest.mark.network
Handler = BaseHTTPRequestHandler
Request = dict[str, object]


def test_a_node_that_comes_back_in_time_is_waited_for() -> None:
    told: list[float] = []
    waited: list[float] = []
    broken = iter([503, 429, 502, 500, 503, 503, 503])

    def answer(handler: Handler, request: Request) -> None:
        status = next(broken, 200)
        if status == 200:
            result(handler, request, "0x5")
        else:
            send(handler, b"", status=status)

    with serving(answer) as url:
        provider = http.NodeProvider(
            url, timeout_s=5, patience_s=60, waiting=lambda why, seconds: told.append(seconds),
            pause=waited.append, monotonic=lambda: sum(waited),
        )  # fmt: skip
        assert provider.make_request("eth_chainId", [])["result"] == "0x5"  # type: ignore[arg-type]
    assert waited == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2])
    assert told == pytest.approx([1.55, 3.15])  # the first second is not worth a word


def test_a_node_that_stays_away_is_given_up_after_the_patience() -> None:
    asked = 0

    def answer(handler: Handler, request: Request) -> None:
        nonlocal asked
        asked += 1
        send(handler, b"", status=503)

    with serving(answer) as url, pytest.raises(ChainUnreachable, match="HTTP 503"):
        Web3Connection(url, patience_s=0.3)
    assert 3 <= asked <= 6


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_a_refusal_is_not_repeated(status: int) -> None:
    asked = 0

    def answer(handler: Handler, request: Request) -> None:
        nonlocal asked
        asked += 1
        send(handler, b"", status=status)

    with serving(answer) as url, pytest.raises(ChainUnreachable):
        Web3Connection(url, patience_s=60)
    assert asked == 1


def test_what_is_said_of_a_node_names_its_host_and_nothing_that_may_be_secret() -> None:
    with serving(lambda handler, request: send(handler, b"", status=401)) as url:
        secret = url.replace("http://", "http://user:sesame@") + "/v3/sesame?key=sesame"
        with pytest.raises(ChainUnreachable) as refused:
            Web3Connection(secret)
        words = f"{refused.value.message} {refused.value.fix}"
        assert url in words and "HTTP 401" in words and "USER:PASSWORD@" in words and "sesame" not in words
    with pytest.raises(ChainUnreachable) as away:
        Web3Connection(secret, patience_s=0.0)
    words = f"{away.value.message} {away.value.fix}"
    assert url in words and "that it runs" in words and "sesame" not in words
    with pytest.raises(ChainUnreachable, match="http://nowhere did not answer"):
        Web3Connection("http://nowhere:99999", patience_s=0.0)


def _drip(handler: Handler, request: Request) -> None:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(200):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def _endless(handler: Handler, request: Request) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65536)


def _silence(handler: Handler, request: Request) -> None:
    threading.Event().wait(5)


HOSTILE: dict[str, tuple[Callable[[Handler, Request], None], str]] = {
    "an answer that never ends in small pieces": (_drip, "ReadTimeout|ConnectionError"),
    "an answer that never ends": (_endless, "ContentDecodingError|ReadTimeout"),
    "no answer": (_silence, "ReadTimeout"),
    "no JSON": (lambda h, r: send(h, b"<html>"), "no JSON"),
    "no text": (lambda h, r: send(h, b"\xff\xfe"), "no JSON"),
    "JSON that is nested too deeply": (lambda h, r: send(h, b"[" * 100_000), "no JSON"),
    "a list": (lambda h, r: send(h, b"[]"), "unreadable"),
    "an object without result": (lambda h, r: send(h, b"{}"), "unreadable"),
    "a way to another server": (lambda h, r: send(h, b"", status=307, Location="http://127.0.0.1:1/"), "no JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_node_is_unreachable_soon(
    answer: Callable[[Handler, Request], None], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER_BYTES", 1 << 20)
    began = time.monotonic()
    with serving(answer) as url, pytest.raises(ChainUnreachable, match=words):
        Web3Connection(url, timeout_s=0.5, patience_s=0)
    assert time.monotonic() - began < 4
