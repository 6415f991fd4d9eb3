"""The running sum of ciphertexts: one buffer, whatever the number of parties.

This is run by the coordinator, and again by everybody who checks it. Coefficients of 48 bits are added in 64-bit words
without any reduction: 65,536 * (2^48 - 1) < 2^64, so up to :data:`MAX_COUNT` ciphertexts cannot overflow. (How many may
be *opened* together is the packing's ``max_parties``, which is smaller; :mod:`fl_core.secagg.decrypt` checks it.)
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.secagg import kernels
from fl_core.secagg.layout import ALIGNMENT, Layout

MAX_COUNT = 1 << 16
"""Ciphertexts that fit into one accumulator."""

_COPY_ROWS = 16  # ring elements copied at a time when a buffer is not aligned

Buffer = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
Bytes = npt.NDArray[np.uint8]


class Accumulator:
    """Adds ciphertexts, and takes excluded ones out again.

    Args:
        layout: The shape of the round's ciphertexts.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self._sums = np.zeros((layout.elements, layout.params.degree), np.uint64)
        self._count = 0

    @property
    def count(self) -> int:
        """How many ciphertexts are in the sum."""
        return self._count

    @property
    def sums(self) -> npt.NDArray[np.uint64]:
        """(elements, N) uint64, values below count * 2^48; a read-only view of the running sum."""
        view = self._sums.view()
        view.flags.writeable = False
        return view

    def add(self, ciphertext: Buffer) -> None:
        """Add one ciphertext; after an error the sum is as it was before.

        Raises:
            DecodeError: Another size, or a coefficient above ``max_wire``, which no encryption gives.
            LocalProtocolError: The accumulator is full.
        """
        rows = self.layout.rows(ciphertext)
        if self._count >= MAX_COUNT:
            raise LocalProtocolError(f"an accumulator takes {MAX_COUNT} ciphertexts")
        if self._add(rows):
            self._subtract(rows)
            raise DecodeError(f"a ciphertext's coefficients are at most {self.layout.params.max_wire}")
        self._count += 1

    def subtract(self, ciphertext: Buffer) -> None:
        """Take out a ciphertext that was added before; exact, modulo 2^64.

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

    def _add(self, rows: Bytes) -> bool:
        limit = np.uint64(self.layout.params.max_wire)
        excess = False
        for first, block in _blocks(rows):
            excess |= bool(kernels.add_rows(block, limit, self._sums[first : first + len(block)]))
        return excess

    def _subtract(self, rows: Bytes) -> None:
        for first, block in _blocks(rows):
            kernels.subtract_rows(block, self._sums[first : first + len(block)])


def _blocks(rows: Bytes) -> Iterator[tuple[int, Bytes]]:
    """Give (first row, rows) in one piece if the buffer is aligned, else in copies of a few rows at a time."""
    if rows.ctypes.data % ALIGNMENT == 0:
        yield 0, rows
        return
    for first in range(0, len(rows), _COPY_ROWS):
        yield first, rows[first : first + _COPY_ROWS].copy()
