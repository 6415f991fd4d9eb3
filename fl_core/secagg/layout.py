"""Where everything is in a ciphertext: from a vector of L small integers to bytes.

A ciphertext is ``elements`` ring elements, one after the other. The first :data:`CHECK_ELEMENTS` encrypt zero; then comes
the payload. Payload element j carries the values [j*slots*N, (j+1)*slots*N); value (j*slots + l)*N + i sits in slot l of
coefficient i::

    m_j[i] = sum over l of values[(j*slots + l)*N + i] * 2^(slot_bits*l)         missing values at the end are zero

On the wire a coefficient has W = ceil((bits of q - dropped bits)/8) bytes, and a ring element is W*N bytes in two or
three planes of little-endian words, one word for each of the N coefficients:

===  ====================================================================  =============================
W    planes, in order                                                      for example
===  ====================================================================  =============================
5    32 low bits, 8 high bits                                              53-bit q, 13 bits dropped
6    32 low bits, 16 high bits                                             53-bit q, 5 bits dropped
7    32 low bits, 16 bits above them, 8 high bits                          61-bit q, 5 bits dropped
===  ====================================================================  =============================

A coefficient is canonical if it is at most :attr:`Layout.max_wire`; :class:`~fl_core.secagg.fold.Accumulator` enforces
that. N is a multiple of eight, so every plane is aligned to its words if the ciphertext is aligned to four bytes. In a frame it is not
always, and only the running sum copes with that.

Where Delta divides q - 1 (PACK15 and whatever else drops 5 bits, mostly) the ciphertext is exactly that of BFV with plain
modulus t = (q-1)/Delta. Elsewhere it is so up to a rounding of Delta*m that Layout's check (3) leaves room for: messages
stop one Delta before q. SEAL opens both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.lattice.parameters import PACKINGS, PARAMETER_SETS, Packing, ParameterSet
from fl_core.secagg.noise import key_noise_bound, noise_bound

CHECK_ELEMENTS: Final = 2
"""Ring elements at the start of each ciphertext that encrypt zero. With one, a wrong aggregate key could pass by being
wrong by a small multiple of a_0's inverse; no short vector explains two independent elements at once."""

MAX_LENGTH: Final = 1 << 28
"""The longest vector (values)."""

ALIGNMENT: Final = 4
"""Bytes; the kernels read and write 32-bit words in place."""

COEFFICIENT_BYTES: Final = (5, 6, 7)
"""Bytes of a coefficient on the wire that there are planes for. Four would hold some packings, but so much would be dropped
that the check elements would no longer make the aggregate key unique, see check (5)."""

Bytes = npt.NDArray[np.uint8]

_PLANES = {5: (4, 1), 6: (4, 2), 7: (4, 2, 1)}
"""Bytes of one coefficient in each plane, by W."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The shape of one round's ciphertexts.

    Attributes:
        params: The parameter set.
        packing: The packing.
        length: L, the number of values in a vector, in [1, :data:`MAX_LENGTH`].

    Raises:
        LocalProtocolError: (1) the length is out of range, (2) a coefficient has a width that the wire has no planes
            for, (3) the packed sum over all parties does not fit under the plain modulus, (4) the noise of all parties
            does not fit under half of Delta, (5) the noise is too large for two check elements to tell keys apart.
    """

    params: ParameterSet
    packing: Packing
    length: int

    def __post_init__(self) -> None:
        names = f"{self.params.name} with {self.packing.name}"
        # (1)
        if not 1 <= self.length <= MAX_LENGTH:
            raise LocalProtocolError(f"a vector has 1 to {MAX_LENGTH} values, not {self.length}")
        # (2)
        if (
            self.coefficient_bytes not in COEFFICIENT_BYTES
            or self.max_wire >= 1 << 8 * self.coefficient_bytes
        ):
            raise LocalProtocolError(f"{names}: a coefficient has {COEFFICIENT_BYTES} bytes on the wire")
        # (3) For PACK15: 2,097,088 * (2^21 + 1) = 2^42 - 132,120,640 < t = 2^42 - 152 (P4096), 2^42 - 62 (P2048).
        if self.packing.max_packed >= self.plain_modulus:
            raise LocalProtocolError(f"{names}: the packed sum exceeds the plain modulus")
        # (4) For 64 parties under PACK15: 854 < 1024.
        bound = noise_bound(self.packing, self.packing.max_parties)
        if bound >= self.packing.delta // 2:
            raise LocalProtocolError(
                f"{names}: the noise of {self.packing.max_parties} parties exceeds Delta/2"
            )
        # (5) The check elements of an honest sum pass :func:`key_noise_bound`, under which the key is unique.
        if bound > key_noise_bound(self.params):
            raise LocalProtocolError(f"{names}: the check elements would not make the aggregate key unique")

    @property
    def plain_modulus(self) -> int:
        """The modulus of messages, t = floor((q-1)/Delta): packed sums are integers in [0, t)."""
        return (self.params.modulus - 1) >> self.packing.delta_bits

    @property
    def coefficient_bytes(self) -> int:
        """W, bytes of one coefficient on the wire."""
        return -(-(self.params.modulus_bits - self.packing.dropped_bits) // 8)

    @property
    def max_wire(self) -> int:
        """The largest canonical wire coefficient, round((q-1) / 2^dropped_bits) < 2^(8W)."""
        dropped = self.packing.dropped_bits
        return (self.params.modulus - 1 + (1 << (dropped - 1))) >> dropped

    @property
    def value_dtype(self) -> type[np.uint16 | np.uint32]:
        """What a vector of values is made of: uint16, or uint32 if values have more than 16 bits."""
        return np.uint16 if self.packing.value_bits <= 16 else np.uint32

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
        return self.coefficient_bytes * self.params.degree

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
        out, start, shift = np.zeros((count, self.params.degree), np.uint64), 0, 0
        for width in _PLANES[self.coefficient_bytes]:
            end = start + width * self.params.degree
            plane = np.ascontiguousarray(planes[:, start:end]).view(f"<u{width}").astype(np.uint64)
            out |= plane << np.uint64(shift)
            start, shift = end, shift + 8 * width
        if int(out.max()) > self.max_wire:
            raise DecodeError(f"a ciphertext's coefficients are at most {self.max_wire}")
        return out


def valid_layouts(length: int) -> tuple[Layout, ...]:
    """Return the layout of every named packing under every named parameter set that it fits, in the order of their tables."""
    found = []
    for packing in PACKINGS.values():
        for params in PARAMETER_SETS.values():
            try:
                found.append(Layout(params=params, packing=packing, length=length))
            except LocalProtocolError:
                continue
    return tuple(found)
