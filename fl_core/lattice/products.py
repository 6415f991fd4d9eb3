"""Products entry by entry, and inner products modulo q: what linear functionals of a secret need.

The rules of :mod:`fl_core.lattice.kernels` hold here too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_core.lattice.kernels import INPUT, kernel, multiply_lazy, reduce_once

Words = npt.NDArray[np.uint64]

_ZERO = np.uint64(0)


@kernel(f"void({INPUT}, {INPUT}, {INPUT}, u8, u8[::1])")
def multiply(x: Words, w: Words, w_quotients: Words, q: np.uint64, out: Words) -> None:
    """Write out = x*w mod q, entry by entry; ``out`` may be ``x``.

    Args:
        x: (N,) uint64.
        w: (N,) uint64, values in [0, q).
        w_quotients: Their Shoup quotients.
        q: The modulus.
        out: (N,) uint64, overwritten with values in [0, q).
    """
    for i in range(np.uint64(out.shape[0])):
        out[i] = reduce_once(multiply_lazy(x[i], w[i], w_quotients[i], q), q)


@kernel(f"u8({INPUT}, {INPUT}, {INPUT}, u8)")
def inner_product(x: Words, w: Words, w_quotients: Words, q: np.uint64) -> np.uint64:
    """Return the sum of x[i]*w[i] mod q, in [0, q).

    Args:
        x: (N,) uint64.
        w: (N,) uint64, values in [0, q).
        w_quotients: Their Shoup quotients.
        q: The modulus.
    """
    total = _ZERO
    for i in range(np.uint64(x.shape[0])):
        product = reduce_once(multiply_lazy(x[i], w[i], w_quotients[i], q), q)
        total = reduce_once(total + product, q)  # < 2q
    return total
