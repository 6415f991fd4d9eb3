"""Messages whose time is over while nobody answered them: an app that hangs, or trains for too long.

Flower's SuperNode runs one app at a time and waits for its reply for ever. ``suture-node serve`` looks for such messages itself, and kills
a SuperNode that it runs (:mod:`clients.cli.house_processes`). Where the SuperNode is a container of its own, nothing of ours may end it: there
the gateway writes down what is overdue, once for each message, and says so at ``/health/supernode`` until the SuperNode asks for
its next message or a new one comes, so that the health check of the container can have it started anew.

Who is behind the gateway can ask for a message while it hangs, and hide that from the health check. What is written down stays.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from clients.errors import NodeError
from clients.gateway.ports import OutgoingLog
from clients.gateway.questions import Questions

LOOK_S = 5.0
"""Seconds between two looks."""

EVENT, REASON = "message-overdue", "a message was not answered in its time"
_FACT = "overdue"

log = logging.getLogger("suture.gateway")


class Overdue:
    """Looks for overdue messages, and knows whether the SuperNode goes on; arguments as for :class:`~clients.gateway.gateway.Gateway`.

    ``sure`` tells that the clock was not set wrong, as far as is known; while it was, no message is overdue.
    """

    def __init__(
        self,
        questions: Questions,
        outgoing: OutgoingLog,
        *,
        clock: Callable[[], float],
        sure: Callable[[], bool],
    ) -> None:
        self._questions, self._log, self._clock, self._sure = questions, outgoing, clock, sure
        self._lock = threading.Lock()
        self._held = bool(questions.fact(_FACT))  # a gateway before this one may have found it
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def held(self) -> bool:
        """Whether the SuperNode holds an overdue message: none was asked for since it was found, and no new SuperNode came."""
        return self._held

    def look(self) -> None:
        """Write down each message whose time is over, and wait for its answer no longer.

        Raises:
            NodeStateError: It cannot be written down; the next look tries it again.
        """
        if not self._sure():
            return
        now = self._clock()
        over = self._questions.over(now)
        for message_id, run in over:
            self._log.record(EVENT, run=run, message=message_id, reason=REASON)
        if over:
            self._questions.give_up(now)
            self._note(True)

    def goes_on(self) -> None:
        """Take note that the SuperNode asked for a message, or that a new one came."""
        if self._held:
            self._note(False)

    def start(self) -> None:
        """Look every :data:`LOOK_S` seconds until :meth:`close`."""
        self._thread = threading.Thread(target=self._run, name="gateway-overdue", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _note(self, held: bool) -> None:
        with self._lock:
            self._questions.remember(_FACT, "1" if held else "")
            self._held = held

    def _run(self) -> None:
        while not self._stop.wait(LOOK_S):
            try:
                self.look()
            except NodeError as error:
                log.warning("an overdue message was not written down: %s", error)
            except Exception:  # the next look may do better; its text could hold anything
                log.exception("looking for overdue messages failed")
