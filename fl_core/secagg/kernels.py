"""The compiled loops of :mod:`fl_core.secagg.encrypt`, :mod:`~fl_core.secagg.fold` and :mod:`~fl_core.secagg.decrypt`.

Same rules as :mod:`fl_core.lattice.kernels`: unsigned 64-bit, no floats, explicit signatures. Matrices have one ring
element per row. Wire rows have W = 5, 6 or 7 bytes per coefficient: a plane of N little-endian u32, then one of N
little-endian u16 if W is 6 or 7, then one of N u8 if W is 5 or 7.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_core.lattice.kernels import inlined, kernel, multiply_lazy, reduce_once

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

_ZERO = np.uint64(0)
_ONE = np.uint64(1)
_TWO = np.uint64(2)
_HIGH_SHIFT = np.uint64(32)
_TOP_SHIFT = np.uint64(48)
_LOW_PLANE = 4  # bytes per coefficient in the low plane
_BOTH_PLANES = 6  # and in the low plane and the one of u16
_LOW = "Array(u4, 2, 'C', readonly=True, aligned=False)"
_HIGH = "Array(u2, 2, 'C', readonly=True, aligned=False)"
_TOGETHER = np.uint64(
    4
)  # rows that are added in step; from six on their lines displace each other in the cache
_RUN = np.uint64(32)  # coefficients of a row at a time: one line of its high plane; divides N


@inlined
def _popcount(x: np.uint64) -> np.uint64:
    """Count the bits of ``x`` by adding neighbours; compilers recognise the idiom."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555_5555_5555_5555))
    x = (x & np.uint64(0x3333_3333_3333_3333)) + ((x >> np.uint64(2)) & np.uint64(0x3333_3333_3333_3333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F_0F0F_0F0F_0F0F)
    return (x * np.uint64(0x0101_0101_0101_0101)) >> np.uint64(56)


@inlined
def _write_row(c: Words, row: Bytes) -> None:
    """Write the N coefficients ``c``, < 2^(8W), as one wire row."""
    degree = c.shape[0]
    width = row.shape[0] // degree
    low = row[: _LOW_PLANE * degree].view(np.uint32)
    for i in range(np.uint64(degree)):
        low[i] = np.uint32(c[i])
    if width >= _BOTH_PLANES:
        high = row[_LOW_PLANE * degree : _BOTH_PLANES * degree].view(np.uint16)
        for i in range(np.uint64(degree)):
            high[i] = np.uint16(c[i] >> _HIGH_SHIFT)
    if width != _BOTH_PLANES:
        shift = _TOP_SHIFT if width > _BOTH_PLANES else _HIGH_SHIFT
        top = row[(width - 1) * degree :]
        for i in range(np.uint64(degree)):
            top[i] = np.uint8(c[i] >> shift)


@inlined
def _read_row(row: Bytes, c: Words) -> None:
    """Read one wire row of 5 or 7 bytes per coefficient into ``c``."""
    degree = c.shape[0]
    width = row.shape[0] // degree
    low = row[: _LOW_PLANE * degree].view(np.uint32)
    top = row[(width - 1) * degree :]
    if width > _BOTH_PLANES:
        high = row[_LOW_PLANE * degree : _BOTH_PLANES * degree].view(np.uint16)
        for i in range(np.uint64(degree)):
            middle = np.uint64(high[i]) << _HIGH_SHIFT
            c[i] = np.uint64(low[i]) | middle | (np.uint64(top[i]) << _TOP_SHIFT)
    else:
        for i in range(np.uint64(degree)):
            c[i] = np.uint64(low[i]) | (np.uint64(top[i]) << _HIGH_SHIFT)


@kernel(
    "void(u8[:, ::1], u8[:, :, ::1], Array(u2, 3, 'C', readonly=True), u8, u8, u8, u8, u1[:, ::1])",
    "void(u8[:, ::1], u8[:, :, ::1], Array(u4, 3, 'C', readonly=True), u8, u8, u8, u8, u1[:, ::1])",
)
def encode(
    products: Words,
    noise_words: Words,
    values: npt.NDArray[np.uint16 | np.uint32],
    delta_bits: np.uint64,
    slot_bits: np.uint64,
    dropped_bits: np.uint64,
    q: np.uint64,
    out: Bytes,
) -> None:
    """Write wire rows of round((a*s + e + Delta*m mod q) / 2^dropped_bits).

    Args:
        products: (n, N) uint64, a_j*s in [0, q); overwritten.
        noise_words: (n, 2, N) uint64, uniform; e = popcount of the first minus popcount of the second, in [-64, 64].
        values: (n, slots, N) uint16 or uint32, the slots of m.
        delta_bits: Delta = 2^delta_bits.
        slot_bits: Bits of one slot.
        dropped_bits: Low bits that are rounded away, half up.
        q: The modulus.
        out: (n, W*N) uint8, overwritten.
    """
    half = _ONE << (dropped_bits - _ONE)
    degree = np.uint64(products.shape[1])
    for j in range(out.shape[0]):
        c = products[j]
        for slot in range(values.shape[1]):
            shift = delta_bits + slot_bits * np.uint64(slot)
            v = values[j, slot]
            for i in range(degree):  # < 2q, which is < 2^62: m < t, so Delta*m < q
                c[i] += np.uint64(v[i]) << shift
        plus, minus = noise_words[j, 0], noise_words[j, 1]
        for i in range(degree):
            v_sum = reduce_once(c[i], q)
            v_sum = reduce_once(v_sum + _popcount(plus[i]), q)  # < q + 64
            v_sum = reduce_once(v_sum + (q - _popcount(minus[i])), q)  # < 2q
            c[i] = (v_sum + half) >> dropped_bits  # <= max_wire < 2^(8W)
        _write_row(c, out[j])


@kernel(f"u8({_LOW}, {_HIGH}, u8, u8[:, ::1])")
def add_rows(
    low: npt.NDArray[np.uint32], high: npt.NDArray[np.uint16], max_wire: np.uint64, sums: Words
) -> np.uint64:
    """Add wire rows of 6 bytes per coefficient to ``sums`` modulo 2^64.

    The memory is the limit here: each coefficient is 6 bytes read, and 8 of the sum read and written. What a processor
    fetches ahead it takes for one long run, but a plane ends every few pages, and after each end it has to notice
    anew. So a few rows are added in step: while some begin, others are under way. The rows are given as two views of
    the same memory, since making views inside costs a tenth of the time.

    Args:
        low: (n, 6*N/4) uint32, the rows as 32-bit words, aligned or not; the first N of each are the low plane.
        high: (n, 3*N) uint16, the same rows as 16-bit words; the last N of each are the high plane.
        max_wire: The largest canonical coefficient.
        sums: (n, N) uint64, added to.

    Returns:
        Non-zero if a coefficient exceeded ``max_wire``; the rows have been added all the same.
    """
    excess = _ZERO
    rows, degree = np.uint64(sums.shape[0]), np.uint64(sums.shape[1])
    for first in range(_ZERO, rows, _TOGETHER):
        for start in range(_ZERO, degree, _RUN):
            for j in range(first, min(first + _TOGETHER, rows)):
                for i in range(_RUN):
                    high_word = np.uint64(high[j, _TWO * degree + start + i])
                    wire = np.uint64(low[j, start + i]) | (high_word << _HIGH_SHIFT)
                    excess |= max_wire - wire  # wraps, and so sets bit 63, exactly if wire > max_wire
                    sums[j, start + i] += wire  # < 2^48 * 65,536 = 2^64: see Accumulator
    return excess >> np.uint64(63)


@kernel(f"void({_LOW}, {_HIGH}, u8[:, ::1])")
def subtract_rows(low: npt.NDArray[np.uint32], high: npt.NDArray[np.uint16], sums: Words) -> None:
    """Undo :func:`add_rows`, modulo 2^64."""
    degree = np.uint64(sums.shape[1])
    for j in range(np.uint64(sums.shape[0])):
        for i in range(degree):
            wire = np.uint64(low[j, i]) | (np.uint64(high[j, _TWO * degree + i]) << _HIGH_SHIFT)
            sums[j, i] -= wire


@kernel("u8(Array(u1, 2, 'C', readonly=True), u8, u8, u8[:, ::1])")
def add_rows_modulo(rows: Bytes, max_wire: np.uint64, q: np.uint64, sums: Words) -> np.uint64:
    """Add wire rows of 5 or 7 bytes per coefficient to ``sums`` modulo q.

    Args:
        rows: (n, W*N) uint8, aligned to four bytes.
        max_wire: The largest canonical coefficient.
        q: The modulus, above every W-byte coefficient.
        sums: (n, N) uint64, values in [0, q); added to.

    Returns:
        As for :func:`add_rows`.
    """
    excess = _ZERO
    wire = np.empty(sums.shape[1], np.uint64)
    for j in range(rows.shape[0]):
        _read_row(rows[j], wire)
        total = sums[j]
        for i in range(np.uint64(sums.shape[1])):
            excess |= max_wire - wire[i]  # as in add_rows
            total[i] = reduce_once(total[i] + wire[i], q)  # < 2q before: wire < 2^56 < q
    return excess >> np.uint64(63)


@kernel("void(Array(u1, 2, 'C', readonly=True), u8, u8[:, ::1])")
def subtract_rows_modulo(rows: Bytes, q: np.uint64, sums: Words) -> None:
    """Undo :func:`add_rows_modulo`."""
    wire = np.empty(sums.shape[1], np.uint64)
    for j in range(rows.shape[0]):
        _read_row(rows[j], wire)
        total = sums[j]
        for i in range(np.uint64(sums.shape[1])):
            total[i] = reduce_once(total[i] + (q - wire[i]), q)  # < 2q before


@kernel("void(Array(u8, 2, 'C', readonly=True), u8[:, ::1], u8, u8, u8)")
def residues(sums: Words, products: Words, scale: np.uint64, scale_quotient: np.uint64, q: np.uint64) -> None:
    """Replace each product a_j*S by 2^dropped_bits * sum_j - a_j*S mod q: the message times Delta plus the noise.

    Args:
        sums: (n, N) uint64, any values.
        products: (n, N) uint64, values in [0, q); overwritten.
        scale: 2^dropped_bits.
        scale_quotient: Its Shoup quotient.
        q: The modulus.
    """
    for j in range(products.shape[0]):
        total, out = sums[j], products[j]
        for i in range(np.uint64(products.shape[1])):
            scaled = reduce_once(multiply_lazy(total[i], scale, scale_quotient, q), q)
            out[i] = reduce_once(scaled + (q - out[i]), q)  # <= 2q - 1


@kernel("void(u8[:, ::1], u8, u8, u8, i8[:, :, ::1], u8[::1], u8[::1])")
def decode(
    residue: Words,
    delta_bits: np.uint64,
    slot_bits: np.uint64,
    q: np.uint64,
    out: npt.NDArray[np.int64],
    max_noise: Words,
    max_sum: Words,
) -> None:
    """Split residues into slots and noise: residue = Delta*m + noise, -Delta/2 <= noise < Delta/2.

    Args:
        residue: (n, N) uint64, values in [0, q); overwritten.
        delta_bits: Delta = 2^delta_bits.
        slot_bits: Bits of one slot.
        q: The modulus.
        out: (n, slots, N) int64, overwritten with the slots of m.
        max_noise: (n,) uint64, overwritten with the largest |noise| of each row.
        max_sum: (n,) uint64, overwritten with the largest slot of each row.
    """
    half = _ONE << (delta_bits - _ONE)
    below_delta = (_ONE << delta_bits) - _ONE
    below_slot = (_ONE << slot_bits) - _ONE
    degree = np.uint64(residue.shape[1])
    for j in range(residue.shape[0]):
        row = residue[j]
        noise = _ZERO
        for i in range(degree):
            shifted = reduce_once(row[i] + half, q)  # < q + Delta
            offset = shifted & below_delta  # noise + Delta/2
            noise = max(noise, max(offset, half + half - offset))
            row[i] = shifted >> delta_bits
        max_noise[j] = noise - half
        largest = _ZERO
        for slot in range(out.shape[1]):
            shift = slot_bits * np.uint64(slot)
            v = out[j, slot]
            for i in range(degree):
                value = (row[i] >> shift) & below_slot
                largest = max(largest, value)
                v[i] = np.int64(value)
        max_sum[j] = largest
