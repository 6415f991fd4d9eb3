"""How long training and sealing took, by the node's own clock: no number of the glue's is among them.

Training lasts from the order to the update, sealing from there to the stored frame. Code that trains can still choose when it hands its
update in. Kept in memory, for the newest frames; nothing is decided by it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from fl_core.codec import Reader, Writer
from fl_core.protocol import envelope

KEPT = 64
"""Rounds whose times are remembered."""

_SIZE = 8  # bytes of a number


class Times:
    """Times of a node's rounds.

    Args:
        clock: Seconds, from any beginning.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self._begun: dict[bytes, float] = {}
        self._measured: dict[bytes, tuple[int, int]] = {}

    def begun(self, header: bytes) -> None:
        """Note that the order of a round, named by its header's digest, goes to the glue."""
        self._begun.pop(header, None)
        self._begun[header] = self.clock()
        _forget(self._begun)

    def sealed(self, header: bytes, frame: bytes, since: float) -> None:
        """Note that a frame, named by its digest, is stored whose update came at ``since`` of the clock."""
        begun = self._begun.pop(header, since)  # unknown after a restart in between
        self._measured[frame] = (_ms(since - begun), _ms(self.clock() - since))
        _forget(self._measured)

    def encode(self, frame: bytes) -> bytes:
        """Return the times of a frame; nothing if they were not measured."""
        found = self._measured.get(frame)
        if found is None:
            return b""
        w = Writer()
        for value in found:
            w.uint(value, _SIZE)
        return w.bytes()


def decode_times(data: bytes) -> Mapping[str, int]:
    """Return milliseconds by name.

    Raises:
        DecodeError: They are none.
    """
    if not data:
        return {}
    r = Reader(data, limit=2 * _SIZE, what="times")
    found = {envelope.TRAIN_MS: r.uint(_SIZE), envelope.PROTECT_MS: r.uint(_SIZE)}
    r.end()
    return found


def _ms(seconds: float) -> int:
    return max(0, round(1000 * seconds))


def _forget(kept: dict[bytes, float] | dict[bytes, tuple[int, int]]) -> None:
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
