"""Randomness that a test can repeat. Never for anything but tests."""

from __future__ import annotations

import hashlib

from fl_core.secret import Secret


class InsecureRandomSource:
    """Gives SHAKE-256 of a seed and a counter: every run of a test sees the same "random" bytes.

    Args:
        seed: Any text or number; equal seeds give equal bytes.
    """

    def __init__(self, seed: object = 0) -> None:
        self._seed = repr(seed).encode()
        self.drawn = 0

    def secret(self, size: int) -> Secret:
        self.drawn += 1
        return Secret(hashlib.shake_256(self._seed + self.drawn.to_bytes(8, "big")).digest(size))


class StuckRandomSource:
    """A broken generator: gives the same bytes for ever."""

    def secret(self, size: int) -> Secret:
        return Secret(b"\x07" * size)
