"""A message that came in and is being checked, which may take minutes: a holder waits for a ledger that is away.

A SuperNode waits 30 seconds for an answer to a pull, and what is in an answer that it does not wait for is lost: the SuperLink hands a
message out once. So the check goes on behind the pull that began it, and a later pull gets the message.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from flwr.proto.fleet_pb2 import PullMessagesResponse

PULL_S = 5.0
"""How long one pull waits for the check, in seconds; far less than a SuperNode waits for the pull."""


class Arrival:
    """The check of one message, in a thread of its own that keeps nobody from ending.

    Args:
        check: Returns what the SuperNode gets; raises what the pull answers with.
    """

    def __init__(self, check: Callable[[], PullMessagesResponse]) -> None:
        self._done = threading.Event()
        self._result: PullMessagesResponse | None = None
        self._error: Exception | None = None

        def run() -> None:
            try:
                self._result = check()
            except Exception as error:  # noqa: BLE001 - raised again in the thread of the pull
                self._error = error
            finally:
                self._done.set()

        threading.Thread(target=run, name="gateway-check", daemon=True).start()

    def done_within(self, seconds: float) -> bool:
        """Wait for the end of the check."""
        return self._done.wait(seconds)

    def result(self) -> PullMessagesResponse:
        """Return or raise what the check did; only after its end."""
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result
