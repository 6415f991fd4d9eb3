"""What waiting costs the relay: one look at the chain for all followers, few looks at each caller."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from coordinator.relay import waiting
from coordinator.relay.waiting import Caller, Newest


class Chain:
    """Blocks up to ``newest``; counts who looks."""

    def __init__(self, newest: int) -> None:
        self.newest, self.looks = newest, 0

    def blocks(self, first: int, limit: int, *, wait_s: float = 0.0) -> Iterator[bytes]:
        self.looks += 1
        yield from [b"block"] * max(0, min(limit, self.newest - first + 1))


class Request:
    def __init__(self) -> None:
        self.gone, self.asked = False, 0

    async def is_disconnected(self) -> bool:
        self.asked += 1
        return self.gone


def test_many_followers_look_at_the_chain_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BLOCK_LOOK_S", 60.0)
    chain = Chain(newest=7)

    async def play() -> list[bool]:
        newest = Newest(chain)
        return [await newest.is_after(7) for _ in range(50)]

    assert asyncio.run(play()) == [False] * 50
    assert chain.looks == 1


@pytest.mark.parametrize(("height", "after"), [(0, True), (6, True), (7, False), (8, False), (900, False)])
def test_a_block_after_another_is_seen_at_the_next_look(height: int, after: bool) -> None:
    assert asyncio.run(Newest(Chain(newest=7)).is_after(height)) is after


def test_what_one_follower_found_another_one_need_not_look_for() -> None:
    chain = Chain(newest=7)

    async def play() -> tuple[bool, bool]:
        newest = Newest(chain)
        return await newest.is_after(6), await newest.is_after(5)

    assert asyncio.run(play()) == (True, True)
    assert chain.looks == 1


def test_a_new_block_is_seen_although_an_older_answer_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BLOCK_LOOK_S", 0.0)
    chain = Chain(newest=7)

    async def play() -> list[bool]:
        newest = Newest(chain)
        found = [await newest.is_after(7)]
        chain.newest = 8
        return [*found, await newest.is_after(7), await newest.is_after(8)]

    assert asyncio.run(play()) == [False, True, False]


def test_a_caller_waits_until_its_time_is_over() -> None:
    assert asyncio.run(Caller(Request(), 60.0, threading.Event()).waits())
    assert not asyncio.run(Caller(Request(), 0.0, threading.Event()).waits())


def test_nobody_waits_when_the_relay_ends() -> None:
    stopping = threading.Event()
    caller = Caller(Request(), 60.0, stopping)
    stopping.set()
    assert not asyncio.run(caller.waits())


def test_a_caller_who_hung_up_is_noticed_without_a_look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request()
    caller = Caller(request, 60.0, threading.Event())
    assert all(asyncio.run(caller.waits()) for _ in range(20))
    assert request.asked == 0
    request.gone = True
    monkeypatch.setattr(waiting, "GONE_LOOK_S", 0.0)
    time.sleep(0.001)
    assert not asyncio.run(caller.waits())
