"""Waiting for the signal that ends a service."""

from __future__ import annotations

import math
import signal
import time
from queue import Empty, SimpleQueue

SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP")
LOOK_S = 0.5
"""Longest wait without a look: a signal that comes after the interpreter looked for one, and before the wait began, wakes nobody."""


class Stop:
    """Set by a signal's handler, waited for in the main thread.

    :class:`threading.Event` will not do: a handler runs in the main thread, between any two of its steps, so also while ``wait``
    holds the event's own lock, and its ``set`` then waits for that lock for ever. A service that looks twice a second is
    rarely met there, and then never ends. ``SimpleQueue.put`` is reentrant, as its documentation says.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[None] = SimpleQueue()
        self._is_set = False

    def set(self) -> None:
        """Ask the service to end."""
        self._asked.put(None)

    def on_signals(self) -> Stop:
        """Have SIGTERM, SIGINT and SIGHUP set it, and return it. Called in the main thread."""
        for name in SIGNALS:
            if (number := getattr(signal, name, None)) is not None:
                signal.signal(number, lambda *_: self.set())
        return self

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is set, or for some seconds; return whether it is set."""
        end = math.inf if seconds is None else time.monotonic() + seconds
        while not self._is_set:
            left = end - time.monotonic()
            try:
                self._asked.get(timeout=min(max(left, 0.0), LOOK_S))
                self._is_set = True
            except Empty:
                if left <= LOOK_S:
                    break
        return self._is_set
