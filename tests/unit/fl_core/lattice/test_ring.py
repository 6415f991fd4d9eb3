"""The ring's compiled arithmetic agrees with integers, entry for entry."""

from __future__ import annotations

import numpy as np
import pytest

from fl_core.digests import Label
from fl_core.errors import LocalProtocolError
from fl_core.lattice import kernels
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.lattice.ring import SPARE_WORDS, Ring
from fl_core.randomness import Stream
from tests.vectors.secagg import verify

SETS = pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)


def stream(number: int = 0) -> Stream:
    return Stream(bytes([number]) * 32, Label.STREAM)


def residues(ring: Ring, count: int, number: int = 0) -> np.ndarray:
    return ring.sample_transformed(stream(number), count)


def extremes(ring: Ring) -> np.ndarray:
    """Elements at the ends of the range: overflow would show here first."""
    top = np.full(ring.degree, ring.params.modulus - 1, np.uint64)
    alternating = top.copy()
    alternating[::2] = 0
    return np.stack([np.zeros_like(top), top, alternating, top - alternating])


@SETS
def test_invert_undoes_transform(params):
    ring = Ring.of(params)
    elements = np.concatenate([residues(ring, 3), extremes(ring)])
    moved = elements.copy()
    ring.transform(moved)
    assert (moved < ring.q).all()
    ring.invert(moved)
    assert np.array_equal(moved, elements)


@SETS
def test_the_transform_evaluates_at_the_powers_of_psi_in_bit_reversed_order(params):
    ring = Ring.of(params)
    elements = np.concatenate([residues(ring, 1), extremes(ring)[1:3]])
    for element in elements:
        moved = element[np.newaxis].copy()
        ring.transform(moved)
        assert verify.coefficients(moved[0].tolist(), params.modulus, params.root) == element.tolist()
        for i, exponent in ((0, 1), (1, params.degree + 1)):
            point = pow(params.root, exponent, params.modulus)
            assert verify.evaluate(element.tolist(), point, params.modulus) == moved[0, i]


@SETS
def test_multiply_and_invert_is_the_schoolbook_product(params):
    ring = Ring.of(params)
    left = np.concatenate([residues(ring, 1), extremes(ring)])
    right = np.concatenate([residues(ring, 1, 1), extremes(ring)[1:2]])
    for factor in right:
        transformed = np.stack([*left, factor])
        ring.transform(transformed)
        hatted = transformed[-1].copy()
        products = transformed[:-1].copy()
        ring.multiply_and_invert(products, hatted, ring.quotients(hatted))
        for element, product in zip(left, products, strict=True):
            assert product.tolist() == verify.multiply(element.tolist(), factor.tolist(), params.modulus)


@SETS
def test_quotients_are_exact(params):
    ring = Ring.of(params)
    for element in (*residues(ring, 2), *extremes(ring)):
        assert ring.quotients(element).tolist() == [(int(w) << 64) // params.modulus for w in element]


@SETS
def test_multiply_add_is_exact(params):
    ring = Ring.of(params)
    x, addend = residues(ring, 2)
    for factor in (0, 1, 3, params.modulus - 1):
        expected = [(factor * int(a) + int(b)) % params.modulus for a, b in zip(x, addend, strict=True)]
        assert ring.multiply_add(x, factor, addend).tolist() == expected


@SETS
def test_sampling_takes_the_first_words_below_the_modulus(params):
    ring = Ring.of(params)
    words = np.empty((3, ring.degree + SPARE_WORDS), np.uint64)
    stream(5).fill(words)
    cell = 1 << params.modulus_bits
    expected = [
        [int(w) % cell for w in row if int(w) % cell < params.modulus][: ring.degree] for row in words
    ]
    assert ring.sample_transformed(stream(5), 3).tolist() == expected


@SETS
def test_sampling_skips_exactly_the_words_that_are_not_residues(params):
    ring, mask = Ring.of(params), np.uint64((1 << params.modulus_bits) - 1)
    words = np.arange(2 * (ring.degree + SPARE_WORDS), dtype=np.uint64).reshape(2, -1)
    high_bits = np.uint64(7 << 61)
    words |= high_bits  # masked away
    words[0, [0, 5]] = params.modulus  # the smallest rejected
    words[1, :SPARE_WORDS] = mask  # as many as there are spares
    words[1, -1] = params.modulus - 1  # the largest accepted
    out = np.empty((2, ring.degree), np.uint64)
    assert kernels.sample_uniform(words, mask, ring.q, out) == 0
    for row, taken in zip(words, out, strict=True):
        kept = [int(w & mask) for w in row if int(w & mask) < params.modulus]
        assert taken.tolist() == kept[: ring.degree]
    words[1, SPARE_WORDS] = params.modulus  # one more than there are spares
    assert kernels.sample_uniform(words, mask, ring.q, out) == 1


@SETS
def test_sampled_residues_are_spread_evenly(params):
    """Chi-square over 64 cells of [0, 2^k), k the bits of q; fixed seed, so the outcome is fixed too."""
    sample = residues(Ring.of(params), 16, 9).reshape(-1)
    shift = np.uint64(params.modulus_bits - 6)
    counts = np.bincount((sample >> shift).astype(np.int64), minlength=64)
    expected = sample.size / 64
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert 20 < statistic < 130  # 63 degrees of freedom: mean 63, sigma 11


def test_a_ring_is_made_once_per_parameter_set():
    for params in PARAMETER_SETS.values():
        assert Ring.of(params) is Ring.of(params)


def test_rows_of_the_wrong_length_never_reach_a_kernel():
    ring = Ring.of(PARAMETER_SETS["P2048"])
    short = np.zeros((1, 1024), np.uint64)
    factor = np.ones(2048, np.uint64)
    for call in (ring.transform, ring.invert, lambda rows: ring.multiply_and_invert(rows, factor, factor)):
        with pytest.raises(LocalProtocolError, match="rows of 2048"):
            call(short)
    with pytest.raises(LocalProtocolError, match="scratch"):
        ring.sample_transformed(stream(), 2, ring.scratch(1))


def test_multiply_high_is_the_upper_half_of_the_wide_product():
    edges = [0, 1, 2**32 - 1, 2**32, 2**53 - 311295, 2**63, 2**64 - 1, 0x0123456789ABCDEF]
    for a in edges:
        for b in edges:
            assert int(kernels.multiply_high(np.uint64(a), np.uint64(b))) == a * b >> 64


@SETS
def test_the_near_product_is_congruent_and_below_four_moduli(params):
    """At the edges of x, w and its quotient, where the parts that are left out are largest."""
    q = params.modulus
    halves = [0, 1, 2**31, 2**32 - 2, 2**32 - 1]
    for x in [high << 32 | low for high in halves for low in halves]:
        for w in [
            0,
            1,
            2,
            q // 3,
            q // 2,
            q - 2,
            q - 1,
            *(((h << 32 | 2**32 - 1) * q >> 64) for h in halves[2:]),
        ]:
            r = int(kernels.multiply_near(*(np.uint64(v) for v in (x, w, (w << 64) // q, q))))
            assert r < 4 * q and (r - w * x) % q == 0


@SETS
def test_lazy_sums_of_the_transforms_fit_a_word(params):
    """What the kernels' introduction says of 4q for each stage, with the numbers of each set."""
    stages, wide = params.degree.bit_length() - 1, params.modulus_bits > 58
    assert (8 if wide else 4 + 4 * stages) * params.modulus < 2**64


def test_a_kernel_without_a_place_for_its_cache_is_compiled_all_the_same():
    scope: dict = {}
    exec("def add_one(x):\n    return x + 1", scope)  # no source file, so numba has nowhere to put a cache
    assert kernels.kernel("i8(i8)")(scope["add_one"])(1) == 2
