"""How callers wait in the relay. Most members do so most of the time: what each of them costs decides how many a relay serves."""

from __future__ import annotations

import threading
import time

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ledger.chain.embedded.source import BlockSource

BLOCK_LOOK_S = 0.1
"""Pause between two looks for a block while followers wait."""

GONE_LOOK_S = 0.5
"""Pause between two looks whether a caller who waits has hung up."""


class Newest:
    """Whether there is a block after another; all followers together look at the chain once in :data:`BLOCK_LOOK_S`.

    Args:
        source: The chain.
    """

    def __init__(self, source: BlockSource) -> None:
        self._source = source
        self._newest = 0
        self._looked = -BLOCK_LOOK_S

    async def is_after(self, height: int) -> bool:
        """Return whether a block above ``height`` was there at the last look. For one event loop."""
        if self._newest <= height and time.monotonic() - self._looked >= BLOCK_LOOK_S:
            self._looked = time.monotonic()
            self._newest = max(self._newest, await run_in_threadpool(self._look, height))
        return self._newest > height

    def _look(self, height: int) -> int:
        return height + sum(1 for _ in self._source.blocks(height, 2)) - 1


class Caller:
    """One who waits.

    Args:
        request: The call.
        wait_s: How long, in seconds.
        stopping: When set, nobody waits any more.
    """

    def __init__(self, request: Request, wait_s: float, stopping: threading.Event) -> None:
        self._request = request
        self._stopping = stopping
        self._end = time.monotonic() + wait_s
        self._looked = time.monotonic()

    async def waits(self) -> bool:
        """Return whether to go on: the time is not over and, as of the last look, the caller is still there."""
        now = time.monotonic()
        if now >= self._end or self._stopping.is_set():
            return False
        if now - self._looked < GONE_LOOK_S:
            return True
        self._looked = now
        return not await self._request.is_disconnected()
