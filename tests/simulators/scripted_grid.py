"""A Flower grid whose replies appear at times that a test has written down, on a clock that the test moves.

It keeps an account of what the exchange did: what was pushed when, what was pulled, how many were unanswered at most.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

import httpx
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.serverapp import Grid

from coordinator.engines.flower_private import empty_run, error_from_superlink, identify, name_message

SLOW_S = 200.0
"""Seconds of the clock that a slow pull takes."""


class Clock:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.sleeps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0, "nobody sleeps backwards"
        self.sleeps.append(seconds)
        self.now += seconds


class ScriptedGrid(Grid):
    """``script[node]`` is what becomes of the message to ``node``:

    a number: a reply after so many seconds; an ``Error``: that error at once; ``None`` or ``""``: the push is refused so;
    ``"never"``: no answer; ``"slow pull"``: a reply whose pull takes :data:`SLOW_S`; ``"stuck pull"`` or ``"stuck push"``: the call does not come back while the test runs;
    ``"broken"``: the pull raises; ``"busy"``: the SuperLink fails at the first push and the first two pulls (``failing`` counts down).
    """

    def __init__(self, clock: Clock, script: dict[int, float | Error | str | None]) -> None:
        identify(1)
        self._clock = clock
        self._script = script
        self._asked: dict[str, tuple[Message, float]] = {}
        self.release = threading.Event()
        self.pushed: list[int] = []
        self.pulled: list[int] = []
        self._lock, self.under_way, self.under_way_most = threading.Lock(), 0, 0
        self.failing = {"push": 1, "pull": 2}
        self.unanswered_most = 0

    def messages(self) -> list[Message]:
        return [Message(RecordDict(), dst_node_id=node, message_type="query") for node in self._script]

    def push_messages(self, messages: Iterable[Message]) -> list[str | None]:
        assert isinstance(messages, list), "Flower's own grid walks its argument twice"
        [message] = messages
        node = message.metadata.dst_node_id
        self.pushed.append(node)
        what = self._script[node]
        match what:
            case Error():  # first: Flower's errors cannot be compared with anything else
                pass
            case "stuck push":
                self.release.wait()
            case None | "":
                return [what]
            case "busy":
                self._fail("push")
        name = f"message-{node}"
        name_message(message, name)
        self._asked[name] = (message, self._clock.now)
        self.unanswered_most = max(self.unanswered_most, len(self._asked))
        return [name]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        [name] = list(message_ids)
        message, since = self._asked[name]
        node = message.metadata.dst_node_id
        match self._script[node]:
            case Error() as error:
                reply = error_from_superlink(
                    message.metadata, error.code, error.reason or "", now=self._clock.now
                )
            case "stuck pull":
                self.release.wait()
                return []
            case "slow pull":
                self._upload()
                reply = Message(RecordDict({"from": ConfigRecord({"node": node})}), reply_to=message)
            case "broken":
                raise ConnectionError("the SuperLink is gone")
            case "never" | "stuck push":
                return []
            case "busy":
                self._fail("pull")
                reply = Message(RecordDict({"from": ConfigRecord({"node": node})}), reply_to=message)
            case seconds if self._clock.now >= since + seconds:
                reply = Message(RecordDict({"from": ConfigRecord({"node": node})}), reply_to=message)
            case _:
                return []
        del self._asked[name]
        self.pulled.append(node)
        return [reply]

    def _upload(self) -> None:
        until = self._clock.now + SLOW_S
        with self._lock:
            self.under_way += 1
            self.under_way_most = max(self.under_way_most, self.under_way)
        while self._clock.now < until and not self.release.wait(0.001):
            pass
        with self._lock:
            self.under_way -= 1

    def _fail(self, call: str) -> None:
        if self.failing[call] > 0:
            self.failing[call] -= 1
            request = httpx.Request("POST", "https://superlink.invalid")
            response = httpx.Response(500, request=request)
            raise httpx.HTTPStatusError("database is locked", request=request, response=response)

    def get_node_ids(self) -> list[int]:
        return list(self._script)

    def set_run(self, run: object) -> None:
        raise NotImplementedError

    @property
    def run(self) -> object:
        return empty_run(1)

    def create_message(self, *_: object, **__: object) -> Message:
        raise NotImplementedError

    def send_and_receive(self, *_: object, **__: object) -> list[Message]:
        raise AssertionError("the exchange does not use it")
