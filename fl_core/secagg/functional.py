"""Linear functionals of a secret: the little that members may open of one party's s.

A functional is a vector u in Z_q^N; its value at s is the inner product <u, s> of both in the transform domain. It is
linear, so the values at Shamir shares of s are Shamir shares of the value at s, one residue each. Two are used:

* the **share check**: with public challenges r_0, r_1, uniform in [0, 2^16)^N and drawn after the ciphertexts are fixed,
  <r_0, a_0*s> + <r_1, a_1*s> over both check elements, coefficients against coefficients. The same combination of the
  ciphertext differs from it by <r_0, e_0> + <r_1, e_1>, which is small exactly if s is the secret of the ciphertext;
* a **blame opening**: one coefficient of a_j*s, and so that coefficient of one ring element.

The coefficients of a*s are INTT(a∘s), and <r, INTT(x)> = <INTT^T r, x>, so u = (INTT^T r)∘a. Entry i of the transform is
the value at psi^(2*brv(i)+1); the transposed inverse evaluates r at the inverses of these points and divides by N. The
inverse of point i is point N-1-i, because brv(N-1-i) = N-1-brv(i)::

    INTT^T r = N^-1 * reverse(NTT(r))

Opening one functional gives away one of the 2N coefficients of noise in the check elements, as a combination; s has N
coefficients. That this costs nothing that matters, and the check itself, are this project's own construction and have not
been reviewed by outsiders.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError
from fl_core.lattice import products
from fl_core.lattice.parameters import ParameterSet
from fl_core.lattice.ring import Ring
from fl_core.randomness import Stream
from fl_core.secagg.layout import CHECK_ELEMENTS, Layout
from fl_core.secagg.noise import MAX_DEVIATIONS, noise_variance

Words = npt.NDArray[np.uint64]

CHALLENGE_BITS = 16
"""Bits of one coefficient of a challenge."""

_LOW_BITS = (
    27  # a residue is split so that products with a challenge, summed over 2^13 terms, stay below 2^64
)
_BLOCK = 16  # public elements drawn at a time on the way to one far down the stream


class Functional:
    """A vector u, public, to be applied to secrets, shares and sums of them.

    Args:
        params: The parameter set.
        vector: u, (N,) uint64, transform domain, values in [0, q).
    """

    def __init__(self, params: ParameterSet, vector: Words) -> None:
        self._ring = Ring.of(params)
        self._vector = vector
        self._quotients = self._ring.quotients(vector)

    def at(self, vector: Words) -> int:
        """Return <u, vector> mod q for ``vector``, (N,) uint64 in the transform domain, values in [0, q)."""
        if vector.shape != self._vector.shape or vector.dtype != np.uint64:
            raise LocalProtocolError(f"a functional takes vectors of {len(self._vector)} uint64")
        return int(products.inner_product(vector, self._vector, self._quotients, self._ring.q))


def challenge(params: ParameterSet, header_digest: bytes, accepted_root: bytes) -> Words:
    """Return r_0 and r_1 of a round's share check, (2, N) uint64 in [0, 2^16).

    They follow from the root of the accepted set, which binds every ciphertext; nobody can choose a ciphertext after them.

    Args:
        params: The parameter set.
        header_digest: 32 bytes.
        accepted_root: Root of the accepted set on the ledger, 32 bytes.
    """
    seed = digest(Label.CHECK_CHALLENGE, header_digest, accepted_root)
    values = np.empty((CHECK_ELEMENTS, params.degree), np.uint16)
    Stream(seed, Label.CHECK_CHALLENGE).fill(values)
    return values.astype(np.uint64)


def check_functional(params: ParameterSet, header_digest: bytes, challenges: Words) -> Functional:
    """Return the functional of the share check with these challenges."""
    ring = Ring.of(params)
    stream = Stream(digest(Label.PUBLIC_ELEMENTS, header_digest), Label.PUBLIC_ELEMENTS)
    elements = ring.sample_transformed(stream, CHECK_ELEMENTS)
    total = np.zeros(params.degree, np.uint64)
    for element, weights in zip(elements, _transposed_inverse(ring, challenges), strict=True):
        total = ring.multiply_add(_product(ring, element, weights), 1, total)
    return Functional(params, total)


def coefficient_functional(
    params: ParameterSet, header_digest: bytes, element: int, coefficient: int
) -> Functional:
    """Return the functional whose value at s is coefficient ``coefficient`` of a_element * s."""
    ring = Ring.of(params)
    unit = np.zeros((1, params.degree), np.uint64)
    unit[0, coefficient] = 1
    public = public_element(params, header_digest, element)
    return Functional(params, _product(ring, public, _transposed_inverse(ring, unit)[0]))


def public_element(params: ParameterSet, header_digest: bytes, element: int) -> Words:
    """Return a_element, (N,) uint64 in the transform domain; draws all before it."""
    ring = Ring.of(params)
    stream = Stream(digest(Label.PUBLIC_ELEMENTS, header_digest), Label.PUBLIC_ELEMENTS)
    for _ in range(element // _BLOCK):
        ring.sample_transformed(stream, _BLOCK)
    elements: Words = ring.sample_transformed(stream, element % _BLOCK + 1)
    return np.ascontiguousarray(elements[-1])


def combine_checks(layout: Layout, check_rows: bytes, challenges: Words) -> int:
    """Return <r_0, c_0> + <r_1, c_1> mod q: what the value of the check functional is compared with.

    Args:
        layout: The shape of the round's ciphertexts.
        check_rows: The first two ring elements of a ciphertext, 2 * element_bytes bytes.
        challenges: (2, N) uint64 in [0, 2^16).

    Returns:
        A residue in [0, q).

    Raises:
        DecodeError: The rows have another size, or a coefficient is not canonical.
    """
    coefficients = layout.coefficients(check_rows, CHECK_ELEMENTS) << np.uint64(layout.packing.dropped_bits)
    low = coefficients & np.uint64((1 << _LOW_BITS) - 1)  # < 2^27: 2^13 products with 2^16 stay below 2^56
    high = coefficients >> np.uint64(_LOW_BITS)  # <= 2^34 for a 61-bit q: below 2^63
    combined = (int((high * challenges).sum()) << _LOW_BITS) + int((low * challenges).sum())
    return combined % layout.params.modulus


def fits(layout: Layout, challenges: Words, combined: int, value: int) -> bool:
    """Return whether ``value`` is that of the secret which the check elements are under.

    The noise of a coefficient is a sum of independent fair signs about its mean of 1/2 (:mod:`fl_core.secagg.noise`), so
    combined - value = <r, e> is one about sum(r)/2 with variance v * sum(r^2): an honest party is refused with probability
    below 2^-64. A secret that does not fit gives a uniform residue, which passes with probability below 2^-22 where 5 bits
    are dropped, and below 2^-14 where 13 are.

    Args:
        layout: The shape of the round's ciphertexts.
        challenges: (2, N) uint64 in [0, 2^16).
        combined: From :func:`combine_checks`.
        value: The check functional's value at the secret, in [0, q).
    """
    q = layout.params.modulus
    noise = (combined - value) % q
    if noise > q // 2:
        noise -= q
    total, squares = int(challenges.sum()), int((challenges * challenges).sum())
    return abs(noise - total / 2) <= MAX_DEVIATIONS * math.sqrt(noise_variance(layout.packing) * squares)


def _transposed_inverse(ring: Ring, challenges: Words) -> Words:
    """Return INTT^T r for each row r, (n, N) uint64 in [0, q)."""
    rows = challenges.copy()
    ring.transform(rows)
    q = ring.params.modulus
    scale, zero = pow(ring.degree, -1, q), np.zeros(ring.degree, np.uint64)
    return np.stack([ring.multiply_add(np.ascontiguousarray(row[::-1]), scale, zero) for row in rows])


def _product(ring: Ring, x: Words, y: Words) -> Words:
    out = np.empty_like(x)
    products.multiply(np.ascontiguousarray(x), y, ring.quotients(y), ring.q, out)
    return out
