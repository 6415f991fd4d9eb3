"""The public ring elements a_j of a round: everybody expands the same ones from the header's digest.

``a_j`` is sampled in the transform domain from Stream(digest(PUBLIC_ELEMENTS, header digest), PUBLIC_ELEMENTS); how words
become residues is said at :meth:`fl_core.lattice.ring.Ring.sample_transformed`. Nobody can choose them without choosing
the digest, and a new header means new elements.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import LocalProtocolError
from fl_core.lattice.parameters import ParameterSet
from fl_core.lattice.ring import Ring
from fl_core.randomness import Stream

BLOCK_COEFFICIENTS = 1 << 14
"""Coefficients worked on at a time when encrypting and opening: the working set stays in a processor's second cache."""


class PublicElements:
    """Gives a_0, a_1, ... in order, a block at a time, multiplied by one fixed element.

    Both sides of the scheme need exactly the products: a_j*s to encrypt, a_j*S to open.

    Args:
        params: The parameter set.
        header_digest: 32 bytes.
        factor: (N,) uint64, transform domain, values in [0, q): s or S.
        first: The index of the first element to give.
    """

    def __init__(
        self, params: ParameterSet, header_digest: bytes, factor: npt.NDArray[np.uint64], first: int = 0
    ) -> None:
        if len(header_digest) != DIGEST_SIZE:
            raise LocalProtocolError(f"a header digest has {DIGEST_SIZE} bytes, not {len(header_digest)}")
        self._ring = Ring.of(params)
        seed = digest(Label.PUBLIC_ELEMENTS, header_digest)
        self._stream = Stream(seed, Label.PUBLIC_ELEMENTS, first * self._ring.element_stream_bytes)
        self._factor = factor
        self._quotients = self._ring.quotients(factor)
        self._scratch = self._ring.scratch(block_elements(params))

    def next_products(self, count: int) -> npt.NDArray[np.uint64]:
        """Return the next ``count`` products a_j*factor, (count, N) uint64 coefficients in [0, q)."""
        elements = self._ring.sample_transformed(self._stream, count, self._scratch)
        self._ring.multiply_and_invert(elements, self._factor, self._quotients)
        return elements

    def __repr__(self) -> str:
        return f"PublicElements({self._ring.params.name}, <redacted>)"


def block_elements(params: ParameterSet) -> int:
    """Return how many ring elements make a block, at least the two check elements."""
    return max(2, BLOCK_COEFFICIENTS // params.degree)
