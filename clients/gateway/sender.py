"""The two threads behind the calls: one composes replies and notes them on disk, one sends what is noted, a turn for each.

So a SuperLink that is slow or away keeps no reply from being noted. What was not sent is queued again, behind the others, every
:data:`AGAIN_S` seconds, until it is there or nobody waits for it any more.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from clients.errors import NodeError
from ledger.errors import ArchiveError

AGAIN_S = 10.0

log = logging.getLogger("suture.gateway")


class Sender:
    """Runs what composes and what sends replies, each in the order in which it was given.

    Args:
        pause_s: Seconds between two times at which what was not sent is queued again.
    """

    def __init__(self, pause_s: float = AGAIN_S) -> None:
        self._pause_s = pause_s
        self._notes = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gateway-note")
        self._sends = ThreadPoolExecutor(max_workers=1, thread_name_prefix="gateway-send")
        self._end = threading.Event()

    def note(self, act: Callable[..., None], *arguments: object) -> None:
        """Compose a reply and note it."""
        self._notes.submit(_guarded, act, *arguments)

    def send(self, act: Callable[..., None], *arguments: object) -> None:
        """Send a reply that is noted."""
        self._sends.submit(_guarded, act, *arguments)

    def repeat(self, queue_again: Callable[[], None]) -> None:
        """Queue what is kept on disk, now and again and again; one look at a time."""
        self.send(queue_again)

        def again() -> None:
            while not self._end.wait(self._pause_s):
                with suppress(RuntimeError):  # it ends
                    self._sends.submit(_guarded, queue_again).exception()

        threading.Thread(target=again, name="gateway-again", daemon=True).start()

    def settle(self, timeout_s: float) -> None:
        """Wait until what was given so far is done, and what that gave."""
        for pool in (self._notes, self._sends, self._sends):
            pool.submit(lambda: None).result(timeout_s)

    def close(self) -> None:
        """Wait for what was given."""
        self._end.set()
        self._notes.shutdown(wait=True)
        self._sends.shutdown(wait=True)


def _guarded(act: Callable[..., None], *arguments: object) -> None:
    try:
        act(*arguments)
    except (NodeError, ArchiveError) as error:
        log.warning("a reply was not sent: %s", error)
    except Exception:  # the thread serves the next reply; its text could hold anything
        log.exception("a reply was not sent")
