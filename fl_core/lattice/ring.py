"""The ring R_q = Z_q[X]/(X^N + 1): sampling, transform and multiplication over the kernels.

An element is a row of N residues in [0, q), in one of two domains:

* *coefficients*: entry i belongs to X^i;
* *transform* (NTT): entry i is the value at psi^(2*brv(i)+1), brv reversing the log2 N bits of i. Products are taken
  entry by entry here. The order is that of Microsoft SEAL, which serves as an oracle in the tests.

All arrays are C-contiguous uint64. Nothing here knows which elements are secret.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from fl_core.errors import LocalProtocolError
from fl_core.lattice import kernels
from fl_core.lattice.parameters import ParameterSet
from fl_core.randomness import Stream

Words = npt.NDArray[np.uint64]

SPARE_WORDS = 8
"""Extra words per element for rejection. With k bits in q, a word is rejected with probability (2^k - q)/2^k < 2^-34, so
more than 8 of an element's 4,096 are with probability below 2^-200."""

_LAZY_BITS = 58
"""The longest modulus whose transforms need no reduction between stages, see :mod:`fl_core.lattice.kernels`."""


class Ring:
    """Arithmetic for one parameter set. Get it from :meth:`of`; the tables are made once per process.

    Args:
        params: The parameter set.
    """

    def __init__(self, params: ParameterSet) -> None:
        self.params = params
        self.degree = params.degree
        self.q = np.uint64(params.modulus)
        self._mask = np.uint64((1 << params.modulus_bits) - 1)
        self._shift = np.uint64(params.modulus_bits - 1)
        self._reciprocal = np.uint64((1 << (63 + params.modulus_bits)) // params.modulus)
        self._wide = params.modulus_bits > _LAZY_BITS
        self._one_quotient = np.uint64((1 << 64) // params.modulus)
        self._forward = self._with_quotients(_forward_twiddles(params))
        self._inverse = self._with_quotients(_inverse_twiddles(params))
        self._scale = self._with_quotients(_inverse_scale(params))

    @staticmethod
    @cache
    def of(params: ParameterSet) -> Ring:
        """Return the ring of ``params``."""
        return Ring(params)

    def sample_transformed(self, stream: Stream, count: int, scratch: Words | None = None) -> Words:
        """Draw ``count`` uniform elements, read as being in the transform domain.

        The transform is a bijection, so this is the uniform distribution on R_q. Element j consumes exactly the words
        [j*(N+8), (j+1)*(N+8)) of the stream, eight little-endian bytes each: masked to the bits of q, values >= q
        skipped, the first N taken.

        Args:
            stream: Where the words come from.
            count: How many elements.
            scratch: (>= count, N+8) uint64 for the words, to save an allocation; or None.

        Returns:
            (count, N) uint64, values in [0, q).

        Raises:
            LocalProtocolError: An element had more than 8 rejections (probability below 2^-200).
        """
        words = self.scratch(count) if scratch is None else scratch[:count]
        if words.shape != (count, self.degree + SPARE_WORDS):
            raise LocalProtocolError(f"the scratch buffer does not hold the words of {count} ring elements")
        stream.fill(words)
        out = np.empty((count, self.degree), np.uint64)
        if kernels.sample_uniform(words, self._mask, self.q, out):
            raise LocalProtocolError("a stream gave too few residues for a ring element; take another seed")
        return out

    @property
    def element_stream_bytes(self) -> int:
        """Bytes of a stream that :meth:`sample_transformed` takes for one element, a multiple of 16."""
        return 8 * (self.degree + SPARE_WORDS)

    def scratch(self, count: int) -> Words:
        """Return an uninitialised buffer for the words of ``count`` elements."""
        return np.empty((count, self.degree + SPARE_WORDS), np.uint64)

    def quotients(self, element: Words) -> Words:
        """Return the Shoup quotients floor(w * 2^64 / q) of ``element``, (N,) values in [0, q)."""
        out = np.empty_like(element)
        kernels.shoup_quotients(element, self.q, self._reciprocal, self._shift, out)
        return out

    def transform(self, elements: Words) -> None:
        """Take ``elements``, (n, N) coefficients, to the transform domain in place."""
        self._check(elements)
        kernels.transform(elements, *self._forward, self.q, self._one_quotient, self._wide)

    def multiply_and_invert(self, elements: Words, factor: Words, factor_quotients: Words) -> None:
        """Replace each of ``elements``, (n, N) in the transform domain, by the coefficients of its product with ``factor``.

        Args:
            elements: (n, N), values in [0, q); overwritten.
            factor: (N,), transform domain, values in [0, q).
            factor_quotients: :meth:`quotients` of ``factor``.
        """
        self._check(elements)
        tables = (*self._inverse, *self._scale)
        kernels.multiply_and_invert(elements, factor, factor_quotients, *tables, self.q, self._wide)

    def invert(self, elements: Words) -> None:
        """Take ``elements``, (n, N) in the transform domain, to coefficients in place."""
        one = np.ones(self.degree, np.uint64)
        self.multiply_and_invert(elements, one, self.quotients(one))

    def multiply_add(self, x: Words, factor: int, addend: Words) -> Words:
        """Return factor*x + addend mod q entry by entry, for a public residue ``factor`` and (N,) ``x``, ``addend``."""
        out = np.empty_like(x)
        quotient = np.uint64((factor << 64) // self.params.modulus)
        kernels.multiply_add(x, np.uint64(factor), quotient, addend, self.q, out)
        return out

    def _check(self, elements: Words) -> None:
        if elements.shape[1:] != (self.degree,):  # the kernels do not check bounds
            raise LocalProtocolError(f"ring elements are rows of {self.degree} words")

    def _with_quotients(self, table: Words) -> tuple[Words, Words]:
        return table, self.quotients(table.reshape(-1)).reshape(table.shape)


def _powers(base: int, count: int, modulus: int) -> list[int]:
    """Return base^0, ..., base^(count-1)."""
    powers = [1]
    for _ in range(count - 1):
        powers.append(powers[-1] * base % modulus)
    return powers


def _reverse_bits(index: int, width: int) -> int:
    return int(format(index, f"0{width}b")[::-1], 2)


def _forward_twiddles(params: ParameterSet) -> Words:
    """Stage s, pair j: psi^brv(2^s + (j mod 2^s))."""
    stages = params.degree.bit_length() - 1
    powers = _powers(params.root, params.degree, params.modulus)
    ordered = np.array([powers[_reverse_bits(i, stages)] for i in range(params.degree)], np.uint64)
    return np.stack([np.resize(ordered[1 << s : 2 << s], params.degree // 2) for s in range(stages)])


def _inverse_twiddles(params: ParameterSet) -> Words:
    """Stage s, pair j: omega^-(r * floor(j / r)) with omega = psi^2 and r = N/2^(s+1)."""
    half = params.degree // 2
    omega_inverse = pow(params.root, -2, params.modulus)
    powers = np.array(_powers(omega_inverse, half, params.modulus), np.uint64)
    return np.stack([powers[np.arange(half) // (half >> s) * (half >> s)] for s in range(half.bit_length())])


def _inverse_scale(params: ParameterSet) -> Words:
    """Entry i: N^-1 * psi^-i."""
    q = params.modulus
    n_inverse = pow(params.degree, -1, q)
    powers = _powers(pow(params.root, -1, q), params.degree, q)
    return np.array([n_inverse * power % q for power in powers], np.uint64)
