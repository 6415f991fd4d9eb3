"""The running sum of ciphertexts: one buffer, whatever the number of parties.

This is run by the coordinator, and again by everybody who checks it. How it adds depends on the width on the wire:

* Coefficients of six bytes are added in 64-bit words without any reduction: 65,536 * (2^48 - 1) < 2^64, so up to
  :data:`MAX_COUNT` ciphertexts cannot overflow.
* Of seven bytes only 256 would fit, fewer than some packings' parties. They, and those of five bytes, are added modulo q,
  which is as good: opening multiplies the sum by a power of two and reduces modulo q anyway.

How many may be *opened* together is the packing's ``max_parties``, at most 1,024; :mod:`fl_core.secagg.decrypt` checks it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.secagg import kernels
from fl_core.secagg.layout import ALIGNMENT, Layout
from fl_core.secagg.threads import spread

MAX_COUNT = 1 << 16
"""Ciphertexts that fit into one accumulator."""

_COPY_ROWS = 16  # ring elements copied at a time when a buffer is not aligned

Buffer = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
Bytes = npt.NDArray[np.uint8]

_CACHE_LINE = 64  # bytes
_LAZY_WIDTH = 6  # bytes of a coefficient


class Accumulator:
    """Adds ciphertexts, and takes excluded ones out again.

    Args:
        layout: The shape of the round's ciphertexts.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._sums = _aligned_zeros(layout.elements, layout.params.degree)
        self._count = 0

    @property
    def count(self) -> int:
        """How many ciphertexts are in the sum."""
        return self._count

    @property
    def sums(self) -> npt.NDArray[np.uint64]:
        """(elements, N) uint64, a read-only view of the running sum: below count * 2^48, or reduced modulo q (see above)."""
        view = self._sums.view()
        view.flags.writeable = False
        return view

    def add(self, ciphertext: Buffer, threads: int = 1) -> None:
        """Add one ciphertext, by as many threads; after an error the sum is as it was before.

        Raises:
            DecodeError: Another size, or a coefficient above ``max_wire``, which no encryption gives.
            LocalProtocolError: The accumulator is full.
        """
        rows = self.layout.rows(ciphertext)
        if self._count >= MAX_COUNT:
            raise LocalProtocolError(f"an accumulator takes {MAX_COUNT} ciphertexts")
        excess = spread(lambda first, end: self._add(rows[first:end], first), len(rows), threads)
        if any(excess):
            self._subtract(rows)
            raise DecodeError(f"a ciphertext's coefficients are at most {self.layout.max_wire}")
        self._count += 1

    def subtract(self, ciphertext: Buffer) -> None:
        """Take out a ciphertext that was added before; exact, modulo 2^64 or q.

        The caller owes that these very bytes were added, once, and not taken out since.

        Raises:
            DecodeError: Another size.
            LocalProtocolError: The sum is empty.
        """
        rows = self.layout.rows(ciphertext)
        if self._count == 0:
            raise LocalProtocolError("nothing was added, so nothing can be taken out")
        self._subtract(rows)
        self._count -= 1

    def _add(self, rows: Bytes, at: int) -> bool:
        """Add to the sums from row ``at`` on; return whether a coefficient is too large."""
        limit, q = np.uint64(self.layout.max_wire), np.uint64(self.layout.params.modulus)
        if self.layout.coefficient_bytes == _LAZY_WIDTH:
            return bool(kernels.add_rows(*_words(rows), limit, self._sums[at : at + len(rows)]))
        excess = False
        for first, block in _blocks(rows):
            sums = self._sums[at + first :][: len(block)]
            excess |= bool(kernels.add_rows_modulo(block, limit, q, sums))
        return excess

    def _subtract(self, rows: Bytes) -> None:
        if self.layout.coefficient_bytes == _LAZY_WIDTH:
            kernels.subtract_rows(*_words(rows), self._sums)
            return
        for first, block in _blocks(rows):
            sums = self._sums[first : first + len(block)]
            kernels.subtract_rows_modulo(block, np.uint64(self.layout.params.modulus), sums)


def _aligned_zeros(rows: int, columns: int) -> npt.NDArray[np.uint64]:
    """Return a matrix of zeros that begins with a cache line: adding to one that does not takes a tenth longer."""
    words = np.zeros(rows * columns + _CACHE_LINE // 8, np.uint64)
    start = -words.ctypes.data % _CACHE_LINE // 8
    return words[start : start + rows * columns].reshape(rows, columns)


def _words(rows: Bytes) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
    """View rows as words of 32 and of 16 bits, which may not be aligned."""
    return rows.view(np.uint32), rows.view(np.uint16)


def _blocks(rows: Bytes) -> Iterator[tuple[int, Bytes]]:
    """Give (first row, rows) in one piece if the buffer is aligned, else in copies of a few rows at a time."""
    if rows.ctypes.data % ALIGNMENT == 0:
        yield 0, rows
        return
    for first in range(0, len(rows), _COPY_ROWS):
        yield first, rows[first : first + _COPY_ROWS].copy()
