"""The inner loops of quantisation, compiled by numba: one for values of up to 15 bits, one for up to 20.

Fixed point instead of a float comparison: the target v in [0, top] is scaled by 2^16 and rounded to the nearest integer,
16 random bits are added and the low 16 bits dropped. So v is rounded up with probability frac(v), up to 2^-17, and an
integer v never moves. ``v * 2^16 + 2^16 - 1 < 2^31`` because v <= 2^15 - 2; the wide loop has 64 bits for v <= 2^20 - 2.

The loops have no reduction over floats and are compiled without fast-math, so LLVM neither reorders nor fuses their
operations: equal inputs give equal bytes on every processor.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_core.lattice.kernels import kernel

_FLOATS = "Array(f4, 1, 'C', readonly=True)"


@kernel(f"Tuple((i8, i8))({_FLOATS}, u2[::1], f8, f8, f8, u2[::1])")
def round_values(
    values: npt.NDArray[np.float32],
    noise: npt.NDArray[np.uint16],
    clip: float,
    scale: float,
    offset: float,
    out: npt.NDArray[np.uint16 | np.uint32],
) -> tuple[int, int]:
    """Clamp, scale and stochastically round one chunk.

    Args:
        values: ``(n,) float32``.
        noise: ``(n,) uint16``, uniform random bits.
        clip: Values are clamped to [-clip, clip].
        scale: Steps per unit, times 2^16.
        offset: The quantised zero times 2^16, plus one half (truncation then rounds to the nearest integer).
        out: ``(n,) uint16``, overwritten.

    Returns:
        How many values were clamped, and how many are not finite (these are written as if they were -clip or clip).
    """
    clipped = 0
    broken = 0
    low = np.float64(-clip)
    high = np.float64(clip)
    for i in range(values.shape[0]):
        value = np.float64(values[i])
        size = abs(value)
        if size > clip:
            clipped += 1
        if not size < np.inf:
            broken += 1
        if not value > low:  # also a NaN: the conversion below stays defined
            value = low
        value = min(value, high)
        out[i] = np.uint16((np.int32(value * scale + offset) + np.int32(noise[i])) >> 16)
    return clipped, broken


@kernel(
    f"Tuple((i8, i8))({_FLOATS}, u2[::1], f8, f8, f8, u2[::1])",
    f"Tuple((i8, i8))({_FLOATS}, u2[::1], f8, f8, f8, u4[::1])",
)
def round_wide_values(
    values: npt.NDArray[np.float32],
    noise: npt.NDArray[np.uint16],
    clip: float,
    scale: float,
    offset: float,
    out: npt.NDArray[np.uint16 | np.uint32],
) -> tuple[int, int]:
    """Like :func:`round_values`, in 64-bit integers and for ``out`` of uint16 or uint32."""
    clipped = 0
    broken = 0
    low = np.float64(-clip)
    high = np.float64(clip)
    for i in range(values.shape[0]):
        value = np.float64(values[i])
        size = abs(value)
        if size > clip:
            clipped += 1
        if not size < np.inf:
            broken += 1
        if not value > low:
            value = low
        value = min(value, high)
        out[i] = np.uint32((np.int64(value * scale + offset) + np.int64(noise[i])) >> 16)
    return clipped, broken
