"""HTTP to a JSON-RPC node that may be down, slow or hostile: web3's transport with bounds and with patience.

* An answer has at most :data:`MAX_ANSWER_BYTES`, and all of it comes within the timeout: a node that drips bytes cannot hold
  anybody up. Redirects are not followed: the node was named, nobody else.
* A node that cannot be reached, is overloaded (HTTP 429) or broken (5xx) is asked again until the patience is used up. Every
  request of this package may be repeated: reading changes nothing, and sending the same signed bytes again has one effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import requests
import urllib3
from eth_typing import URI
from web3.providers.rpc import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from fl_core.codec import read_json
from fl_core.errors import DecodeError
from ledger.chain.jsonrpc import MalformedJson, to_object
from ledger.chain.ports import Waiting, say_nothing
from suture_fl.unreachable import why

MAX_ANSWER_BYTES = 64 << 20
"""Longest answer; the longest honest ones are 10,000 logs, about 10 megabytes."""
_MAX_CONTAINERS = 100_000
"""Most lists and objects in an answer: five times those of 10,000 logs."""
_PIECE_BYTES = 1 << 16
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_UNTOLD_S = 1.0
_OVERLOADED = 429
_DENIED = (401, 403)
_BROKEN = 500


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: its user, path and query."""
    parts = urlsplit(url)
    try:
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:  # it is no port, and whoever asks the node will say so
        port = ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}"


def may_be_secret(url: str) -> bool:
    """Tell whether a URL has a part that :func:`shown` leaves out: a user, a path, a query, any of which can be a key."""
    parts = urlsplit(url)
    return "@" in parts.netloc or parts.path not in ("", "/") or bool(parts.query or parts.fragment)


def refusal(error: BaseException) -> tuple[str, str]:
    """Return in words what an HTTP request failed with, and what to do; both without the URL."""
    response = error.response if isinstance(error, requests.HTTPError) else None
    if response is None:
        words, fix = why(error)
        name = type(error).__name__
        return name if words == name else f"{words} ({name})", fix
    words = f"HTTP {response.status_code}"
    if response.status_code in _DENIED:
        return words, "It wants a user and a password: write the URL as http(s)://USER:PASSWORD@HOST."
    return words, "Ask whoever runs it, then try again."


class NodeProvider(HTTPProvider):
    """Sends requests to one node.

    Args:
        url: Where it is; may hold credentials.
        timeout_s: For one request and its whole answer.
        patience_s: For how long a node that is away is asked again; one more attempt is always made.
        waiting: Told when it takes long.
        pause: Waits some seconds.
        monotonic: A clock.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        patience_s: float,
        waiting: Waiting = say_nothing,
        pause: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None)
        self._url = URI(url)
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._waiting = waiting
        self._pause = pause
        self._monotonic = monotonic

    def _make_request(self, method: RPCEndpoint, request_data: bytes) -> bytes:
        """Send until there is an answer or the patience is used up (web3's name)."""
        began, wait = self._monotonic(), _FIRST_PAUSE_S
        while True:
            try:
                return self._once(request_data)
            except requests.RequestException as error:
                away = self._monotonic() - began
                if not _passing(error) or away > self._patience_s:
                    raise
                if away > _UNTOLD_S:
                    self._waiting(type(error).__name__, away)
                self._pause(min(wait, max(0.0, self._patience_s - away)))
                wait = min(2 * wait, _LONGEST_PAUSE_S)

    def _once(self, request_data: bytes) -> bytes:
        end = self._monotonic() + self._timeout_s
        response = self._request_session_manager.get_response_from_post_request(
            self._url, data=request_data, stream=True, allow_redirects=False, **self.get_request_kwargs()
        )
        with response:
            response.raise_for_status()
            answer = bytearray()
            while piece := _next_piece(response):
                answer += piece
                if len(answer) > MAX_ANSWER_BYTES:
                    raise requests.exceptions.ContentDecodingError("the answer is too long")
                if self._monotonic() > end:
                    raise requests.ReadTimeout("the answer takes too long")
            return bytes(answer)

    @staticmethod
    def decode_rpc_response(raw_response: bytes) -> RPCResponse:
        """Decode an answer (web3's name).

        Raises:
            MalformedJson: It is no JSON object.
        """
        try:
            decoded = read_json(
                raw_response, limit=MAX_ANSWER_BYTES, what="an answer", containers=_MAX_CONTAINERS
            )
        except DecodeError as error:
            raise MalformedJson("it is no JSON") from error
        return cast(RPCResponse, to_object(decoded))


def _next_piece(response: requests.Response) -> bytes:
    """Return what has come of an answer, at least one byte; empty at its end. requests itself waits for whole pieces."""
    try:
        return cast(bytes, response.raw.read1(_PIECE_BYTES, decode_content=True))
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout("the answer stopped") from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError("the answer is broken off") from error


def _passing(error: requests.RequestException) -> bool:
    """Tell whether asking again may help."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return error.response.status_code == _OVERLOADED or error.response.status_code >= _BROKEN
    return isinstance(
        error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError
    )
