"""The compiled loops of the ring, for :mod:`fl_core.lattice.ring` only.

Numbers are unsigned 64-bit and all arithmetic wraps modulo 2^64; floats do not occur, so every processor and every code
path gives the same bytes. Each kernel has one explicit signature: it is compiled once, stored in numba's cache beside
this file, and loaded by later processes. All kernels release the interpreter lock and none starts threads.

Multiplication modulo q by a number ``w`` known beforehand is Shoup's [Harvey14, "Faster arithmetic for number-theoretic
transforms", section 2]: with the quotient w' = floor(w * 2^64 / q), and *any* x < 2^64::

    r = w*x - floor(w' * x / 2^64) * q   (mod 2^64)        is congruent to w*x, and 0 <= r < 2q

Inside the transforms the floor is only estimated, at most 2 too low (:func:`multiply_near`): then 0 <= r < 4q, still congruent,
and half the time, because compilers do not vectorise the wide product. What leaves a kernel is reduced to [0, q), so
the bytes are the same either way.

The transforms are lazy (ibid., section 3): values are left unreduced from stage to stage. Each stage adds one product
< 4q or subtracts it from 4q, so s stages on inputs < 4q end below (4 + 4s)*q. With at most 13 stages that is 56q, which is
< 2^64 for a q of up to 58 bits (and < 2^59 for 53). A longer modulus is *wide*: there every stage begins by taking
its summands, < 8q, below 4q, so nothing exceeds 8q, which is < 2^64 for a q of 61 bits.
The data flow is Pease's constant geometry (every stage reads and writes the same pattern, between two buffers), since
that is what a compiler can pipeline without knowing the stage.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Function = TypeVar("Function", bound=Callable[..., object])

INPUT = "Array(u8, 1, 'C', readonly=True)"
"""Signature of a vector of words that is only read; it also accepts writable ones."""

_LOW_HALF = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)
_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_TWO = np.uint64(2)
_FOUR = np.uint64(4)
_WORD_BITS = np.uint64(64)


def kernel(*signatures: str) -> Callable[[Function], Function]:
    """Compile a loop for its signatures, cached on disk, without the interpreter lock and without fast-math.

    In signatures ``u8[:, ::1]`` is a C-contiguous matrix of 64-bit words (numba counts bytes). The cache is beside the module, or in
    the user's cache directory where the installation cannot be written; ``NUMBA_CACHE_DIR`` names another place. Where none can
    be written, or what is there is damaged, the process compiles for itself and logs that once.
    """

    def decorate(function: Function) -> Function:
        try:
            compiled = numba.njit([*signatures], cache=True, nogil=True, error_model="numpy")(function)
        except Exception as error:  # noqa: BLE001 - damaged files give any; a fault of the function's own is raised below
            compiled = numba.njit([*signatures], nogil=True, error_model="numpy")(function)
            _say_uncached(error)
        return cast(Function, compiled)

    return decorate


_said: list[BaseException] = []


def _say_uncached(error: Exception) -> None:
    """Log it, the first time only."""
    if _said:
        return
    _said.append(error)
    logging.getLogger(__name__).warning(
        "compiled code cannot be stored or read (%s), so every process compiles anew and takes seconds to start; "
        "set NUMBA_CACHE_DIR to an empty folder that only this user can write",
        str(error) or type(error).__name__,
    )


def inlined(function: Function) -> Function:
    """Mark a scalar helper that kernels call; it is compiled into each of them."""
    return cast(Function, numba.njit(error_model="numpy")(function))


@inlined
def multiply_high(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return floor(a*b / 2^64), from four 32-bit products [Warren, "Hacker's Delight", 8-2].

    Compilers recognise the idiom and use one wide multiplication where the processor has one.
    """
    a_low, a_high = a & _LOW_HALF, a >> _HALF
    b_low, b_high = b & _LOW_HALF, b >> _HALF
    middle = a_high * b_low + ((a_low * b_low) >> _HALF)  # <= (2^32-1)^2 + 2^32-1 < 2^64
    crossed = a_low * b_high + (middle & _LOW_HALF)  # same bound
    return a_high * b_high + (middle >> _HALF) + (crossed >> _HALF)


@inlined
def multiply_lazy(x: np.uint64, w: np.uint64, w_quotient: np.uint64, q: np.uint64) -> np.uint64:
    """Return r = w*x mod q up to one q: r in [0, 2q), for any x and w < q with its Shoup quotient."""
    return w * x - multiply_high(w_quotient, x) * q


@inlined
def multiply_near(x: np.uint64, w: np.uint64, w_quotient: np.uint64, q: np.uint64) -> np.uint64:
    """Return r = w*x mod q up to three q: r in [0, 4q), for any x and w < q with its Shoup quotient.

    Of the four 32-bit products of :func:`multiply_high` the lowest is left out and the middle ones are rounded down one by
    one. Each costs the quotient less than 1, so it is less than 3 below w'*x / 2^64, at most 2 below its floor, and never above.
    """
    x_low, x_high = x & _LOW_HALF, x >> _HALF
    w_low, w_high = w_quotient & _LOW_HALF, w_quotient >> _HALF
    near = (
        x_high * w_high + ((x_low * w_high) >> _HALF) + ((x_high * w_low) >> _HALF)
    )  # <= w'*x / 2^64 < 2^64
    return w * x - near * q


@inlined
def reduce_once(x: np.uint64, q: np.uint64) -> np.uint64:
    """Return x mod q for x in [0, 2q), q <= 2^63 (a multiple of the modulus, say): x - q wraps above x exactly if x < q."""
    return min(x, x - q)


@kernel("i8(u8[:, ::1], u8, u8, u8[:, ::1])")
def sample_uniform(words: Words, mask: np.uint64, q: np.uint64, out: Words) -> int:
    """Map uniform words to exactly uniform residues by masking and rejecting.

    Row j of ``out`` takes the first N words of row j of ``words`` that are below q after the mask.

    Args:
        words: (n, N + spare) uint64, uniform.
        mask: 2^bits(q) - 1.
        q: The modulus.
        out: (n, N) uint64, overwritten with values in [0, q).

    Returns:
        How many rows had too few good words; their contents are not usable.
    """
    short = 0
    degree = out.shape[1]
    for j in range(out.shape[0]):
        row, source = out[j], words[j]
        rejected = _ZERO
        for i in range(np.uint64(degree)):  # the likely case has no branch: all of the first N are good
            value = source[i] & mask
            row[i] = value
            rejected |= np.uint64(value >= q)
        if rejected:
            filled = 0
            for i in range(source.shape[0]):
                value = source[i] & mask
                if value < q and filled < degree:
                    row[filled] = value
                    filled += 1
            short += int(filled < degree)
    return short


@kernel(f"void({INPUT}, u8, u8, u8, u8[::1])")
def shoup_quotients(w: Words, q: np.uint64, reciprocal: np.uint64, shift: np.uint64, out: Words) -> None:
    """Write floor(w * 2^64 / q) for each w < q, with 2^k < q < 2^(k+1) for k = shift in [1, 60].

    With reciprocal = floor(2^(64+k) / q) < 2^64, the estimate floor(w * reciprocal / 2^k) is at most 2 below the
    quotient: w * 2^64/q - w * reciprocal/2^k < w/2^k < 2, and one floor. The remainder w*2^64 - estimate*q, taken modulo
    2^64, is then in [0, 3q), which is < 2^63, and says by how much.
    """
    shift_up = _WORD_BITS - shift
    for i in range(np.uint64(w.shape[0])):
        value = w[i]
        high, low = multiply_high(value, reciprocal), value * reciprocal
        estimate = (high << shift_up) | (low >> shift)
        remainder = _ZERO - estimate * q
        for _ in range(2):
            more = np.uint64(remainder >= q)
            estimate += more
            remainder -= more * q
        out[i] = estimate


@kernel("void(u8[:, ::1], u8[:, ::1], u8[:, ::1], u8, u8, b1)")
def transform(
    x: Words, twiddles: Words, quotients: Words, q: np.uint64, one_quotient: np.uint64, wide: bool
) -> None:
    """Coefficients to transform domain, in place, one row at a time.

    Cooley-Tukey butterflies with the powers of psi merged in: (X, Y) -> (X + wY, X - wY).

    Args:
        x: (n, N) uint64, values in [0, q); afterwards values in [0, q), entry i being the value at psi^(2*brv(i)+1).
        twiddles: (log2 N, N/2) uint64: stage s, pair j uses psi^brv(2^s + (j mod 2^s)).
        quotients: Their Shoup quotients.
        q: The modulus.
        one_quotient: floor(2^64 / q).
        wide: Reduce at every stage: q has more than 58 bits.
    """
    degree = x.shape[1]
    half = np.uint64(degree // 2)
    lift = _FOUR * q
    spare = np.empty(degree, np.uint64)
    for row in range(x.shape[0]):
        source, target = x[row], spare
        for stage in range(twiddles.shape[0]):
            w, w_quotient = twiddles[stage], quotients[stage]
            if wide:
                for j in range(half):
                    source[j] = reduce_once(source[j], lift)  # < 8q before, < 4q after
            for j in range(half):
                upper = source[j]
                product = multiply_near(source[j + half], w[j], w_quotient[j], q)
                target[_TWO * j] = upper + product  # grows by < 4q per stage; wide: < 8q
                target[_TWO * j + _ONE] = upper + (lift - product)  # likewise
            source, target = target, source
        done = x[row]
        for i in range(np.uint64(degree)):
            done[i] = reduce_once(multiply_lazy(source[i], _ONE, one_quotient, q), q)


@kernel(f"void(u8[:, ::1], {INPUT}, {INPUT}, u8[:, ::1], u8[:, ::1], u8[::1], u8[::1], u8, b1)")
def multiply_and_invert(
    x: Words,
    factor: Words,
    factor_quotients: Words,
    twiddles: Words,
    quotients: Words,
    scale: Words,
    scale_quotients: Words,
    q: np.uint64,
    wide: bool,
) -> None:
    """Multiply by a fixed element in the transform domain and go to coefficients, in place, one row at a time.

    Decimation in time on bit-reversed input, powers of omega = psi^2, (X, Y) -> (X + wY, X - wY); the last
    multiplication removes N and the powers of psi. The first stage has w = 1 and is written without it.

    Args:
        x: (n, N) uint64, values in [0, q) in the order of :func:`transform`; afterwards coefficients in [0, q).
        factor: (N,) uint64, values in [0, q), same order.
        factor_quotients: Their Shoup quotients.
        twiddles: (log2 N, N/2) uint64: stage s, pair j uses omega^-(N/2^(s+1) * floor(j / (N/2^(s+1)))).
        quotients: Their Shoup quotients.
        scale: (N,) uint64: N^-1 * psi^-i.
        scale_quotients: Their Shoup quotients.
        q: The modulus.
        wide: As for :func:`transform`.
    """
    degree = x.shape[1]
    half = np.uint64(degree // 2)
    lift = _FOUR * q
    spare = np.empty(degree, np.uint64)
    for row in range(x.shape[0]):
        source, target = x[row], spare
        for j in range(half):
            even, odd = _TWO * j, _TWO * j + _ONE
            upper = multiply_near(source[even], factor[even], factor_quotients[even], q)
            lower = multiply_near(source[odd], factor[odd], factor_quotients[odd], q)
            target[j] = upper + lower  # < 8q
            target[j + half] = upper + (lift - lower)  # < 8q: upper < 4q
        source, target = target, source
        for stage in range(1, twiddles.shape[0]):
            w, w_quotient = twiddles[stage], quotients[stage]
            if wide:
                for j in range(np.uint64(degree)):
                    source[j] = reduce_once(source[j], lift)  # < 8q before, < 4q after
            for j in range(half):
                upper = source[_TWO * j]
                product = multiply_near(source[_TWO * j + _ONE], w[j], w_quotient[j], q)
                target[j] = upper + product  # grows by < 4q per stage; wide: < 8q
                target[j + half] = upper + (lift - product)  # likewise
            source, target = target, source
        done = x[row]
        for i in range(np.uint64(degree)):
            done[i] = reduce_once(multiply_lazy(source[i], scale[i], scale_quotients[i], q), q)


@kernel(f"void({INPUT}, u8, u8, {INPUT}, u8, u8[::1])")
def multiply_add(
    x: Words, factor: np.uint64, quotient: np.uint64, addend: Words, q: np.uint64, out: Words
) -> None:
    """Write out = factor*x + addend mod q, element by element; ``out`` may be ``x`` or ``addend``.

    Args:
        x: (N,) uint64, values in [0, q).
        factor: A residue in [0, q).
        quotient: Its Shoup quotient.
        addend: (N,) uint64, values in [0, q).
        q: The modulus.
        out: (N,) uint64, overwritten with values in [0, q).
    """
    for i in range(np.uint64(out.shape[0])):
        product = reduce_once(multiply_lazy(x[i], factor, quotient, q), q)
        out[i] = reduce_once(product + addend[i], q)  # < 2q before


def stored_in() -> str | None:
    """Return the folder where these loops are kept compiled for the next process, None where there is none."""
    return cast(str | None, multiply_add.stats.cache_path)  # type: ignore[attr-defined]
