"""The relay's log lines: duties that were answered, and calls that were refused. Never what is in a call.

Anybody can make calls that are refused, so each status has at most one line in :data:`EVERY_S` seconds; the next one counts those between.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from fl_core.protocol.relay import DutyKind

EVERY_S = 10.0
WHY = {
    400: "malformed",
    403: "of another ledger, clock or signer",
    409: "its stamp is not larger than those before",
    413: "too long",
    429: "too many in a short time",
    503: "the ledger does not answer",
}

log = logging.getLogger("suture.relay")


class Refusals:
    """Tells of refused calls. Safe for threads.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next: dict[int, float] = {}
        self._between: dict[int, int] = {}

    def tell(self, status: int) -> None:
        """Write a line about a call that was refused with an HTTP status, or count it for the next one."""
        with self._lock:
            now = self._clock()
            if now < self._next.get(status, now):
                self._between[status] = self._between.get(status, 0) + 1
                return
            self._next[status] = now + EVERY_S
            between = self._between.pop(status, 0)
        more = f", and {between} more since the last such line" if between else ""
        extra = {"event": "call-refused"}
        log.warning("a call was refused with %d: %s%s", status, WHY.get(status, "refused"), more, extra=extra)


def tell_answer(number: int, kind: DutyKind, member: bytes, *, given: bool, size: int) -> None:
    """Write a line about a member's answer.

    Args:
        number: The round.
        kind: What the member was asked.
        member: Its account.
        given: Whether it gave one; it may refuse.
        size: Bytes of the answer.
    """
    fields = {
        "event": "duty-answered" if given else "duty-refused",
        "round": number,
        "member": f"0x{member.hex()}",
    }
    name = kind.name.lower()
    if given:
        log.info("%s answered (%d bytes)", name, size, extra=fields)
    else:
        log.warning("%s refused by the member", name, extra=fields)
