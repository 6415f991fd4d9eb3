"""Where everything is in a ciphertext: from a vector of L small integers to bytes.

A ciphertext is ``elements`` ring elements, one after the other. The first :data:`CHECK_ELEMENTS` encrypt zero; then comes
the payload. Payload element j carries the values [j*slots*N, (j+1)*slots*N); value (j*slots + l)*N + i sits in slot l of
coefficient i::

    m_j[i] = sum over l of values[(j*slots + l)*N + i] * 2^(slot_bits*l)         missing values at the end are zero

On the wire a ring element is 6*N bytes in two planes: the low 32 bits of all N coefficients, little-endian, and then
their high 16 bits, little-endian. A coefficient is canonical if it is at most
:attr:`~fl_core.lattice.parameters.ParameterSet.max_wire`; :class:`~fl_core.secagg.fold.Accumulator` enforces that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.lattice.parameters import Packing, ParameterSet
from fl_core.secagg.noise import noise_bound

CHECK_ELEMENTS: Final = 2
"""Ring elements at the start of each ciphertext that encrypt zero. With one, a wrong aggregate key could pass by being
wrong by a small multiple of a_0's inverse; no short vector explains two independent elements at once."""

MAX_LENGTH: Final = 1 << 28
"""The longest vector (values)."""

ALIGNMENT: Final = 4
"""Bytes; the kernels read and write 32-bit words in place."""

_BYTES_PER_COEFFICIENT = 6

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The shape of one round's ciphertexts.

    Attributes:
        params: The parameter set.
        packing: The packing.
        length: L, the number of values in a vector, in [1, :data:`MAX_LENGTH`].

    Raises:
        LocalProtocolError: (1) the length is out of range, (2) the packed sum over all parties does not fit under the
            plain modulus, (3) the noise of all parties does not fit under half of Delta.
    """

    params: ParameterSet
    packing: Packing
    length: int

    def __post_init__(self) -> None:
        names = f"{self.params.name} with {self.packing.name}"
        # (1)
        if not 1 <= self.length <= MAX_LENGTH:
            raise LocalProtocolError(f"a vector has 1 to {MAX_LENGTH} values, not {self.length}")
        # (2) For PACK15: 2,097,088 * (2^21 + 1) = 2^42 - 132,120,640 < t = 2^42 - 152 (P4096), 2^42 - 62 (P2048).
        if self.packing.max_packed >= self.params.plain_modulus:
            raise LocalProtocolError(f"{names}: the packed sum exceeds the plain modulus")
        # (3) For 64 parties: 854 < 1024.
        if noise_bound(self.params, self.packing.max_parties) >= self.params.delta // 2:
            raise LocalProtocolError(
                f"{names}: the noise of {self.packing.max_parties} parties exceeds Delta/2"
            )

    @property
    def values_per_element(self) -> int:
        """Values in one full ring element."""
        return self.packing.slots * self.params.degree

    @property
    def payload_elements(self) -> int:
        """Ring elements that carry values."""
        return -(-self.length // self.values_per_element)

    @property
    def elements(self) -> int:
        """Ring elements of a ciphertext, the check elements included."""
        return CHECK_ELEMENTS + self.payload_elements

    @property
    def element_bytes(self) -> int:
        """Bytes of one ring element on the wire."""
        return _BYTES_PER_COEFFICIENT * self.params.degree

    @property
    def ciphertext_bytes(self) -> int:
        """Bytes of a ciphertext."""
        return self.elements * self.element_bytes

    def rows(self, ciphertext: bytes | bytearray | memoryview | Bytes) -> Bytes:
        """View ``ciphertext`` as a read-only (elements, element_bytes) uint8 matrix, without copying it.

        Raises:
            DecodeError: It is not a contiguous buffer of exactly :attr:`ciphertext_bytes` bytes.
        """
        view = ciphertext.data if isinstance(ciphertext, np.ndarray) else memoryview(ciphertext)
        if not view.c_contiguous or view.nbytes != self.ciphertext_bytes:
            raise DecodeError(
                f"a ciphertext of this round has {self.ciphertext_bytes} bytes, not {view.nbytes}"
            )
        rows = np.frombuffer(view, np.uint8).reshape(self.elements, self.element_bytes)
        rows.flags.writeable = False
        return rows

    def coefficients(self, rows: bytes, count: int) -> npt.NDArray[np.uint64]:
        """Return the wire coefficients of ``count`` ring elements, (count, N) uint64; for a few rows, not for speed.

        Raises:
            DecodeError: ``rows`` has another size, or a coefficient is not canonical.
        """
        if len(rows) != count * self.element_bytes:
            raise DecodeError(
                f"{count} ring elements have {count * self.element_bytes} bytes, not {len(rows)}"
            )
        planes = np.frombuffer(rows, np.uint8).reshape(count, self.element_bytes)
        split = 4 * self.params.degree
        low = np.ascontiguousarray(planes[:, :split]).view("<u4").astype(np.uint64)
        high = np.ascontiguousarray(planes[:, split:]).view("<u2").astype(np.uint64)
        out = low | (high << np.uint64(32))
        if int(out.max()) > self.params.max_wire:
            raise DecodeError(f"a ciphertext's coefficients are at most {self.params.max_wire}")
        return out
