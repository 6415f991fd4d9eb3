"""Products entry by entry and inner products agree with integers, also at the ends of the range."""

from __future__ import annotations

import numpy as np
import pytest

from fl_core.digests import Label
from fl_core.lattice import products
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.lattice.ring import Ring
from fl_core.randomness import Stream

SETS = pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)


def vectors(params):
    """Pairs (x, w): uniform ones, and every pairing of the extreme ones."""
    ring, top = Ring.of(params), params.modulus - 1
    uniform = ring.sample_transformed(Stream(bytes(32), Label.STREAM), 2)
    ends = [np.full(params.degree, value, np.uint64) for value in (0, 1, top, top // 2)]
    return [(uniform[0], uniform[1]), *((x, w) for x in ends for w in ends), (uniform[0], ends[2])]


@SETS
def test_multiply_is_the_product_modulo_q(params):
    ring, q = Ring.of(params), params.modulus
    for x, w in vectors(params):
        out = np.empty_like(x)
        products.multiply(x, w, ring.quotients(w), ring.q, out)
        assert out.tolist() == [a * b % q for a, b in zip(x.tolist(), w.tolist(), strict=True)]


@SETS
def test_multiply_may_write_over_its_first_factor(params):
    ring, (x, w) = Ring.of(params), vectors(params)[0]
    expected, in_place = np.empty_like(x), x.copy()
    products.multiply(x, w, ring.quotients(w), ring.q, expected)
    products.multiply(in_place, w, ring.quotients(w), ring.q, in_place)
    assert np.array_equal(in_place, expected)


@SETS
def test_multiply_takes_any_word_as_its_first_factor(params):
    ring, w = Ring.of(params), vectors(params)[0][1]
    x, out = np.full(params.degree, 2**64 - 1, np.uint64), np.empty(params.degree, np.uint64)
    products.multiply(x, w, ring.quotients(w), ring.q, out)
    assert out.tolist() == [(2**64 - 1) * b % params.modulus for b in w.tolist()]


@SETS
def test_an_inner_product_is_the_sum_of_the_products_modulo_q(params):
    ring, q = Ring.of(params), params.modulus
    for x, w in vectors(params):
        expected = sum(a * b for a, b in zip(x.tolist(), w.tolist(), strict=True)) % q
        assert int(products.inner_product(x, w, ring.quotients(w), ring.q)) == expected
