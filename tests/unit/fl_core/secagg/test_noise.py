"""The noise of honest ciphertexts is what the bounds were derived for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fl_core.lattice.parameters import P2048, P4096, PACK15, PACKINGS, P4096g
from fl_core.secagg import kernels
from fl_core.secagg.noise import (
    key_noise_bound,
    misread_log2,
    noise_bound,
    noise_variance,
    refusal_log2,
)
from fl_core.secagg.public_elements import PublicElements
from tests.unit.fl_core.secagg.parties import HEADER, encrypted, layout_of, summed


def noise_of(params, sums, key) -> np.ndarray:
    """The noise of a sum of encryptions of zero, as signed integers."""
    q, public = params.modulus, PublicElements(params, HEADER, key)
    signed = np.empty(sums.shape, np.int64)
    for j in range(len(sums)):
        out = public.next_products(1)
        kernels.residues(sums[j : j + 1], out, np.uint64(32), np.uint64((32 << 64) // q), np.uint64(q))
        signed[j] = out[0]
    signed[signed > q // 2] -= q
    return signed


def test_one_partys_noise_has_the_stated_mean_and_variance():
    """Fixed seeds, 32,768 coefficients: the standard error of the mean is 0.06, of the variance 0.9."""
    layout = layout_of(12 * 4096, P4096)
    ciphertext, secret = encrypted(layout, 0, np.zeros(layout.length, np.uint16))
    planes = layout.rows(ciphertext)[:8]
    low = np.ascontiguousarray(planes[:, : 4 * 4096]).view("<u4").astype(np.uint64)
    high = np.ascontiguousarray(planes[:, 4 * 4096 :]).view("<u2").astype(np.uint64)
    noise = noise_of(P4096, low | high << np.uint64(32), secret.reveal())
    assert noise.mean() == pytest.approx(0.5, abs=0.3)
    assert noise.var() == pytest.approx(noise_variance(PACK15), abs=4.5)
    assert noise_variance(PACK15) == 117.25
    assert np.abs(noise).max() <= 64 + 16


def test_the_mean_square_of_a_sum_is_the_stated_one():
    layout = layout_of(17, P4096)
    accumulator, key, _ = summed(layout, range(30))
    signed = noise_of(P4096, accumulator.sums[:2], key)
    assert np.square(signed).mean() == pytest.approx(30 * noise_variance(PACK15) + 15**2, rel=0.06)
    assert signed.mean() == pytest.approx(15, abs=3)


def test_the_bounds_are_the_quoted_ones():
    assert noise_bound(PACK15, 64) == 854
    assert math.sqrt(noise_variance(PACK15)) == pytest.approx(10.83, abs=0.005)
    assert math.sqrt(noise_variance(PACKINGS["PACK12x16"])) == pytest.approx(2365, abs=0.5)
    assert key_noise_bound(P4096) == key_noise_bound(P2048) == 2**20
    assert key_noise_bound(P4096g) == 2**24


@pytest.mark.parametrize("params", [P2048, P4096, P4096g], ids=lambda p: p.name)
def test_a_second_key_within_the_bound_is_less_likely_than_guessing_a_secret(params):
    """The union bound of the docstring: (16 * B^2 / q)^N over all differences of two keys."""
    bits = params.degree * (math.log2(params.modulus) - 4 - 2 * math.log2(key_noise_bound(params)))
    assert bits >= 9 * params.degree - 1


def test_the_quoted_failure_probabilities_of_the_default_are_the_computed_ones():
    coefficients = 10**8 // 2
    assert -39 < refusal_log2(PACK15, 64, coefficients) < -38
    assert -69 < misread_log2(PACK15, 64, coefficients) < -68


@pytest.mark.parametrize("packing", PACKINGS.values(), ids=lambda p: p.name)
def test_every_packing_refuses_an_honest_round_of_1e8_values_rarely_and_misreads_it_more_rarely(packing):
    coefficients = -(-(10**8) // packing.slots)
    for count in (3, packing.max_parties):
        refused = refusal_log2(packing, count, coefficients)
        assert misread_log2(packing, count, coefficients) < refused - 8
        assert refused < -36
