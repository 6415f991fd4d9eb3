"""From an update to slots in [-1, 1], and from a sum of slots to the mean: the same bytes at every holder.

The vector of one holder, all coordinates in [-1, 1]:

    integers    1, min(examples, cap), counters...    four digits to the base 256 each, digit / 256, lowest first
    values      w * clip(update, C) / C               w = min(examples, cap) / cap

**Integers are exact.** Digits of a sum of n <= 64 lie on a grid of 1/256, and a slot is off by less than 1/512 (the bound of
:mod:`~fl_core.secagg.ckks.parameters` gives 5.0e-4 at n = 64 and 10^9 values). A digit that is not within 1/1024 of the grid is refused.

**The model is the same at every holder.** Decryption is exact integer arithmetic followed by a transform in double precision,
deterministic for one build of SEAL; another processor family may differ in the last bits (2^-50). Every value of the sum is
therefore rounded to a multiple of 256 / scale, twice the noise of a single upload. What follows is elementwise IEEE
arithmetic in fixed order. Two *different* builds disagree only where a value lies within their difference of a rounding
border: about 2^-30 a value. Then holders report different digests, and the round has no model unless a threshold agrees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_core.errors import InputError, LocalProtocolError, VerificationError
from fl_core.secagg.ckks.parameters import CkksParameters

DIGITS = 4
BASE = 256
MAX_INTEGER = BASE**DIGITS - 1
"""Largest counter of one holder."""

GRID = 256.0
"""Sums are rounded to multiples of GRID / scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a round's vectors look like; every holder derives it from the run's terms.

    Attributes:
        parameters: P, number of values of the update.
        counters: Number of counters.
        weight_cap: Examples from which on a holder weighs fully.
        clip: C, bound on every value of an update.
    """

    parameters: int
    counters: int
    weight_cap: int
    clip: float

    def __post_init__(self) -> None:
        if not 0 < self.weight_cap <= MAX_INTEGER:
            raise ValueError(f"a weight cap under CKKS lies in [1, {MAX_INTEGER}]")

    @property
    def integers(self) -> int:
        """Number of integers in front of the values."""
        return 2 + self.counters

    @property
    def length(self) -> int:
        """Number of slots."""
        return DIGITS * self.integers + self.parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a sum holds.

    Attributes:
        update: Weighted mean update, ``(P,) float32``.
        count: Number of uploads in the sum.
        weight: Sum of min(examples, cap).
        counters: Sums of the counters.
    """

    update: npt.NDArray[np.float32]
    count: int
    weight: int
    counters: tuple[int, ...]


def pack(
    shape: Shape, update: npt.NDArray[np.float32], examples: int, counters: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Return one holder's vector, ``(length,) float64`` in [-1, 1].

    Raises:
        InputError: The update holds values that are not finite.
        LocalProtocolError: The update's length, the number of examples or a counter is out of range.
    """
    if update.shape != (shape.parameters,) or len(counters) != shape.counters:
        raise LocalProtocolError(
            f"an update has {shape.parameters} values and {shape.counters} counters,"
            f" not {update.size} and {len(counters)}"
        )
    if examples < 1 or any(not 0 <= value <= MAX_INTEGER for value in counters):
        raise LocalProtocolError(f"examples are at least 1, counters lie in [0, {MAX_INTEGER}]")
    if not np.isfinite(update).all():
        raise InputError("the update holds values that are not finite.", fix="Lower the learning rate.")
    weight = min(examples, shape.weight_cap)
    digits = [value >> (8 * i) & 0xFF for value in (1, weight, *counters) for i in range(DIGITS)]
    values = np.clip(update.astype(np.float64) / shape.clip, -1.0, 1.0) * (weight / shape.weight_cap)
    return np.concatenate([np.array(digits, dtype=np.float64) / BASE, values])


def unpack(params: CkksParameters, shape: Shape, holders: int, summed: npt.NDArray[np.float64]) -> Opened:
    """Return what a decrypted sum holds.

    Args:
        params: The parameter set.
        shape: The round's shape.
        holders: Size of the cohort.
        summed: ``(length,) float64``, from :meth:`~fl_core.secagg.ckks.keys.HolderKey.decrypt`.

    Raises:
        VerificationError: (1) the sum has another length or values that no honest uploads give, (2) a digit lies off the
            grid, (3) the number of uploads or the weight cannot be.
    """
    # (1)
    if summed.shape != (shape.length,) or not (np.abs(summed) <= holders + 0.5).all():
        raise VerificationError("the sum is none of honest uploads", party="coordinator")
    # (2)
    raw = summed[: DIGITS * shape.integers] * BASE
    digits = np.rint(raw)
    if not (np.abs(raw - digits) <= 0.25).all() or (digits < 0).any():
        raise VerificationError("an integer of the sum is not whole", party="coordinator")
    whole = [
        sum(int(digits[DIGITS * k + i]) << (8 * i) for i in range(DIGITS)) for k in range(shape.integers)
    ]
    count, weight, counters = whole[0], whole[1], tuple(whole[2:])
    # (3)
    if not 1 <= count <= holders or not count <= weight <= count * shape.weight_cap:
        raise VerificationError(
            f"a sum of {count} uploads with weight {weight} cannot be", party="coordinator"
        )
    grid = GRID / params.scale(holders)
    values = np.rint(summed[DIGITS * shape.integers :] / grid) * grid
    mean = values * (shape.clip * shape.weight_cap) / weight
    return Opened(update=mean.astype(np.float32), count=count, weight=weight, counters=counters)
