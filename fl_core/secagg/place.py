"""One coefficient of one ring element: where a sum went wrong, and what each party has there.

After a sum was opened, a ring element whose noise or slots exceed what honest parties cause has *failed*: somebody's
ciphertext was not well-formed there (:mod:`fl_core.secagg.decrypt`). The first such coefficient is looked at in every
single ciphertext to find whose. That opens a few values of everybody, so it is one coefficient and never one with values
that the caller protects (the weights).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_core.lattice.ring import Ring
from fl_core.secagg.functional import public_element
from fl_core.secagg.layout import CHECK_ELEMENTS, Layout
from fl_core.secagg.noise import noise_bound

Words = npt.NDArray[np.uint64]


def failing_coefficient(
    layout: Layout, header_digest: bytes, element: int, row: Words, count: int, key: Words, protected: int
) -> int | None:
    """Return the first coefficient of a summed ring element that ``count`` honest parties do not cause.

    Args:
        layout: The shape of the round's ciphertexts.
        header_digest: 32 bytes; fixes the public elements.
        element: Index of the ring element, counted from the first check element; a payload element.
        row: (N,) uint64, the sum of its wire coefficients.
        count: How many ciphertexts were added.
        key: The aggregate key, (N,) uint64, transform domain.
        protected: Values from this index of the vector on are never opened; coefficients that carry them do not count.

    Returns:
        The coefficient, or None when there is none: then the element did not fail, or nothing of it may be opened.
    """
    params = layout.params
    ring = Ring.of(params)
    product = public_element(params, header_digest, element)[None, :].copy()
    ring.multiply_and_invert(product, key, ring.quotients(key))
    q, scale = params.modulus, 1 << layout.packing.dropped_bits
    for coefficient in range(params.degree):
        if _carries(layout, element, coefficient, protected):
            continue
        residue = (int(row[coefficient]) * scale - int(product[0, coefficient])) % q
        if not well_formed(layout, residue, count):
            return coefficient
    return None


def well_formed(layout: Layout, residue: int, count: int) -> bool:
    """Return whether Delta*m + noise mod q is what ``count`` honest parties give in one coefficient.

    Args:
        layout: The shape of the round's ciphertexts.
        residue: In [0, q).
        count: How many ciphertexts it is the sum of.
    """
    params, packing = layout.params, layout.packing
    shifted = (residue + packing.delta // 2) % params.modulus
    message, offset = divmod(shifted, packing.delta)
    mask = (1 << packing.slot_bits) - 1
    slots = (message >> (packing.slot_bits * slot) & mask for slot in range(packing.slots))
    beyond = message >> (packing.slot_bits * packing.slots)
    in_range = beyond == 0 and all(slot <= count * packing.max_value for slot in slots)
    return in_range and abs(offset - packing.delta // 2) <= noise_bound(packing, count)


def _carries(layout: Layout, element: int, coefficient: int, protected: int) -> bool:
    """Return whether a slot of this coefficient holds a value with index ``protected`` or higher."""
    packing, degree = layout.packing, layout.params.degree
    first = (element - CHECK_ELEMENTS) * layout.values_per_element
    return any(
        protected <= first + slot * degree + coefficient < layout.length for slot in range(packing.slots)
    )
