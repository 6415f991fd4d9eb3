"""A message that came in and is being checked, which may take minutes: a holder waits for a ledger that is away.

A SuperNode waits 30 seconds for an answer to a call, and what is in an answer to a pull that it does not wait for is lost: the SuperLink
hands a message out once. Calls that nobody waits for any more would take the place of others, heartbeats among them, for as long as
they wait. So the check goes on behind the call that began it, and a later call gets what it found.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

PULL_S = 5.0
"""How long one call waits for the check, in seconds; far less than a SuperNode waits for the call."""

Found = TypeVar("Found")


class Arrival(Generic[Found]):
    """The check of what one run brings, in a thread of its own that keeps nobody from ending.

    Args:
        check: Returns what came in; raises what the call answers with.
    """

    def __init__(self, check: Callable[[], Found]) -> None:
        self._done = threading.Event()
        self._found: list[Found] = []
        self._error: Exception | None = None

        def run() -> None:
            try:
                self._found.append(check())
            except Exception as error:  # noqa: BLE001 - raised again in the thread of the call
                self._error = error
            finally:
                self._done.set()

        threading.Thread(target=run, name="gateway-check", daemon=True).start()

    def done_within(self, seconds: float) -> bool:
        """Wait for the end of the check."""
        return self._done.wait(seconds)

    def result(self) -> Found:
        """Return or raise what the check did; only after its end."""
        if self._error is not None:
            raise self._error
        (found,) = self._found
        return found
