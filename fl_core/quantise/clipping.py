"""The clip of the next round, from the aggregate of this one.

An auditor recomputes clips, so this reduction must give everybody the same bits: the squares of the decoded integers are
summed exactly, and only then five correctly rounded float64 operations follow in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from fl_core.quantise.law import MAX_CLIP

GROWTH = 4.0
"""Largest factor by which a clip grows or shrinks in one round.

A block whose every value was clipped has a root mean square near its clip, so without a bound one bad round could multiply
the clip by ``factor``, and one round without progress could take it to the floor at once.
"""

_PIECE = 1 << 12
"""Squares of deviations below 2^25 that are summed in int64 without overflow: 2^50 * 2^12 < 2^63."""

_SMALL = 1 << 25
_HALF_BITS = 15


def next_clip(
    deviations: Iterable[npt.NDArray[np.int64]],
    weight_units: int,
    previous: float,
    *,
    floor: float,
    factor: float = 6.0,
) -> float:
    """Return the next clip of one block: ``factor`` times the root mean square of its aggregate, within bounds.

    A decoded value is 2 * previous * d / weight_units for the integer deviation d = sum - count * half.

    Args:
        deviations: The block's d, as pieces of ``(n,) int64`` with values in (-2^30, 2^30); at least one value in all.
        weight_units: Sum of the clients' weights in units of 1 / top.
        previous: The clip with which the block was quantised.
        floor: Smallest clip, at least :data:`fl_core.quantise.law.MIN_CLIP`.
        factor: Clip in units of the root mean square.

    Returns:
        A clip between ``previous / GROWTH`` and ``previous * GROWTH``, or ``floor`` where that is more.
    """
    squares = 0
    size = 0
    for piece in deviations:
        size += piece.size
        for start in range(0, piece.size, _PIECE):
            squares += _sum_of_squares(piece[start : start + _PIECE])
    root_mean_square = 2.0 * previous * math.sqrt(squares / size) / weight_units
    wanted = min(max(factor * root_mean_square, previous / GROWTH), previous * GROWTH)
    return min(max(wanted, floor), MAX_CLIP)


def _sum_of_squares(part: npt.NDArray[np.int64]) -> int:
    """Return the exact sum of squares of at most :data:`_PIECE` deviations, |d| < 2^30."""
    if int(np.abs(part).max(initial=0)) < _SMALL:
        return int(np.dot(part, part))
    high, low = (
        part >> _HALF_BITS,
        part & ((1 << _HALF_BITS) - 1),
    )  # |high| <= 2^15: each dot is <= 2^30 * 2^12
    return (
        (int(np.dot(high, high)) << 2 * _HALF_BITS)
        + (int(np.dot(high, low)) << (_HALF_BITS + 1))
        + int(np.dot(low, low))
    )
