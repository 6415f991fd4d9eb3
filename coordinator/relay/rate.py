"""How often a member may call: a token bucket for each."""

from __future__ import annotations

import threading

PER_SECOND, BURST = 20.0, 60.0
"""A node makes two calls for a duty; blocks and archive reads come in bursts."""


class Rate:
    """Counts calls of members.

    Args:
        per_second: Calls that a member may make in the long run.
        burst: Calls that it may make at once.
    """

    def __init__(self, per_second: float = PER_SECOND, burst: float = BURST) -> None:
        self._per_second = per_second
        self._burst = burst
        self._lock = threading.Lock()
        self._left: dict[bytes, tuple[float, float]] = {}

    def allows(self, member: bytes, now: float) -> bool:
        """Return whether a call at Unix time ``now`` is within the member's rate, and count it."""
        with self._lock:
            left, since = self._left.get(member, (self._burst, now))
            left = min(self._burst, left + max(0.0, now - since) * self._per_second)
            allowed = left >= 1
            self._left[member] = (left - 1 if allowed else left, now)
            return allowed
