"""Functionals of a secret: linear, equal to what schoolbook arithmetic says, and small only for the right secret."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fl_core.digests import Label
from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.lattice.parameters import P2048, P4096, PACK15, PARAMETER_SETS
from fl_core.lattice.ring import Ring
from fl_core.randomness import Stream
from fl_core.secagg import shamir
from fl_core.secagg.functional import (
    CHALLENGE_BITS,
    Functional,
    _transposed_inverse,
    challenge,
    check_functional,
    coefficient_functional,
    combine_checks,
    fits,
)
from fl_core.secagg.layout import CHECK_ELEMENTS
from fl_core.secagg.noise import MAX_DEVIATIONS, noise_variance
from tests.unit.fl_core.secagg.parties import HEADER, encrypted, known, layout_of, shares_of
from tests.vectors.secagg import verify

SETS = pytest.mark.parametrize("params", PARAMETER_SETS.values(), ids=lambda p: p.name)
ROOT = known("root of V")
LAYOUT = layout_of(17)
Q = P2048.modulus
R = challenge(P2048, HEADER, ROOT)
U = check_functional(P2048, HEADER, R)


def secret_of(who):
    return encrypted(LAYOUT, who)[1]


def rows_of(who, layout=LAYOUT):
    return encrypted(layout, who)[0].tobytes()[: CHECK_ELEMENTS * layout.element_bytes]


def schoolbook(params, who, element):
    """The coefficients of a_element * s, with Python's integers."""
    layout = layout_of(17, params)
    a = verify.public_elements(params.name, HEADER, element + 1)[element]
    s = verify.coefficients(encrypted(layout, who)[1].reveal().tolist(), params.modulus, params.root)
    return verify.multiply(a, s, params.modulus)


# ---------------------------------------------------------------------- the vector


@SETS
def test_the_transposed_inverse_moves_the_inverse_to_the_other_side_of_an_inner_product(params):
    ring = Ring.of(params)
    x = ring.sample_transformed(Stream(bytes(32), Label.STREAM), 1)
    r = np.stack([challenge(params, HEADER, ROOT)[0], np.zeros(params.degree, np.uint64)])
    r[1, [0, 1, params.degree - 1]] = (1, 65535, 7)
    moved = _transposed_inverse(ring, r)
    coefficients = verify.coefficients(x[0].tolist(), params.modulus, params.root)
    for weights, u in zip(r.tolist(), moved.tolist(), strict=True):
        left = sum(a * b for a, b in zip(weights, coefficients, strict=True))
        right = sum(a * b for a, b in zip(u, x[0].tolist(), strict=True))
        assert left % params.modulus == right % params.modulus


@pytest.mark.parametrize("params", [P2048, P4096], ids=lambda p: p.name)
def test_the_check_functional_is_the_combination_of_both_products_with_the_secret(params):
    r = challenge(params, HEADER, ROOT)
    expected = sum(
        weight * coefficient
        for element in range(CHECK_ELEMENTS)
        for weight, coefficient in zip(r[element].tolist(), schoolbook(params, 0, element), strict=True)
    )
    secret = encrypted(layout_of(17, params), 0)[1].reveal()
    assert check_functional(params, HEADER, r).at(secret) == expected % params.modulus


@pytest.mark.parametrize(("element", "coefficient"), [(0, 0), (1, 2047), (2, 5), (17, 1024)])
def test_a_coefficient_functional_is_that_coefficient_of_the_product(element, coefficient):
    functional = coefficient_functional(P2048, HEADER, element, coefficient)
    assert functional.at(secret_of(0).reveal()) == schoolbook(P2048, 0, element)[coefficient]


def test_a_functional_is_linear():
    one, other = secret_of(0).reveal(), secret_of(1).reveal()
    assert U.at(shamir.add_shares(P2048, [one, other])) == (U.at(one) + U.at(other)) % Q
    assert U.at(np.zeros_like(one)) == 0
    tripled = np.array([3 * int(v) % Q for v in one], np.uint64)
    assert U.at(tripled) == 3 * U.at(one) % Q


def test_the_values_at_shares_are_shares_of_the_value():
    secret = secret_of(0)
    shares = shares_of(LAYOUT, 0, secret, 3, 4)
    at = {x: U.at(share) for x, share in enumerate(shares, 1)}
    for points in ((1, 2, 3), (1, 3, 4), (2, 3, 4)):
        value = verify.interpolate_at("P2048", {x: [at[x]] for x in points}, 0)
        assert value == [U.at(secret.reveal())]


def test_a_vector_of_another_length_or_type_is_our_own_error():
    vector = secret_of(0).reveal()
    for wrong in (vector[:-1], vector.astype(np.int64), vector.reshape(2, -1)):
        with pytest.raises(LocalProtocolError, match="vectors of 2048 uint64"):
            U.at(wrong)
    assert isinstance(Functional(P2048, vector).at(vector), int)


# ---------------------------------------------------------------------- the challenge


def test_the_challenges_follow_from_header_and_accepted_set_and_have_sixteen_bits():
    assert R.shape == (CHECK_ELEMENTS, 2048)
    assert R.max() < 1 << CHALLENGE_BITS
    assert np.unique(R).size > 3500
    assert np.array_equal(R, challenge(P2048, HEADER, ROOT))
    for other in (challenge(P2048, known("another"), ROOT), challenge(P2048, HEADER, known("another"))):
        assert np.mean(other == R) < 0.01


# ---------------------------------------------------------------------- the test


@SETS
def test_an_honest_partys_noise_is_small_against_its_bound(params):
    layout = layout_of(17, params)
    r = challenge(params, HEADER, ROOT)
    functional = check_functional(params, HEADER, r)
    for who in range(8):
        combined = combine_checks(layout, rows_of(who, layout), r)
        assert fits(layout, r, combined, functional.at(encrypted(layout, who)[1].reveal()))


def test_the_noise_is_the_combination_of_the_noise_of_all_coefficients():
    """The combined rows minus the value is <r_0, e_0> + <r_1, e_1>, with the errors computed the long way."""
    noise = 0
    wire = LAYOUT.coefficients(rows_of(0), CHECK_ELEMENTS).tolist()
    for element in range(CHECK_ELEMENTS):
        products = schoolbook(P2048, 0, element)
        for weight, c, product in zip(R[element].tolist(), wire[element], products, strict=True):
            e = ((c << PACK15.dropped_bits) - product) % Q
            e = e - Q if e > Q // 2 else e
            assert abs(e) <= 64 + 16
            noise += weight * e
    difference = combine_checks(LAYOUT, rows_of(0), R) - U.at(secret_of(0).reveal())
    assert difference % Q == noise % Q


def bound():
    return MAX_DEVIATIONS * math.sqrt(noise_variance(PACK15) * int((R * R).sum()))


def test_the_bound_lies_around_the_mean_on_both_sides():
    combined, middle = 12345, int(R.sum()) / 2
    for sign in (1, -1):
        for factor, good in ((0, True), (0.99, True), (1.01, False), (100, False)):
            noise = round(middle + sign * factor * bound())
            assert fits(LAYOUT, R, combined, (combined - noise) % Q) == good
    assert fits(LAYOUT, R, combined, (combined - round(middle)) % Q)


@SETS
def test_a_residue_that_has_nothing_to_do_with_it_passes_with_less_than_two_to_the_minus_22(params):
    r = challenge(params, HEADER, ROOT)
    width = 2 * MAX_DEVIATIONS * math.sqrt(noise_variance(PACK15) * int((r * r).sum())) + 1
    assert width / params.modulus < 2**-22


def test_another_secret_does_not_fit():
    combined = combine_checks(LAYOUT, rows_of(0), R)
    own = secret_of(0).reveal()
    off = own.copy()
    off[5] = (int(off[5]) + 1) % Q
    for wrong in (secret_of(1).reveal(), off, np.zeros_like(own)):
        assert not fits(LAYOUT, R, combined, U.at(wrong))
    assert fits(LAYOUT, R, combined, U.at(own))


def test_two_check_elements_count_each():
    """Garbage in one of them alone is seen."""
    for element in range(CHECK_ELEMENTS):
        rows = bytearray(rows_of(0))
        rows[element * LAYOUT.element_bytes + 5] ^= 0x40
        assert not fits(LAYOUT, R, combine_checks(LAYOUT, bytes(rows), R), U.at(secret_of(0).reveal()))


def test_rows_of_another_size_or_with_a_wild_coefficient_are_refused():
    rows = rows_of(0)
    for wrong in (b"", rows[:-1], rows + b"\0", b"\xff" * len(rows)):
        with pytest.raises(DecodeError):
            combine_checks(LAYOUT, wrong, R)


def test_the_largest_coefficients_and_challenges_do_not_overflow():
    top = np.full((CHECK_ELEMENTS, 2048), LAYOUT.max_wire, np.uint64)
    rows = b"".join(
        (row & np.uint64(0xFFFFFFFF)).astype("<u4").tobytes() + (row >> np.uint64(32)).astype("<u2").tobytes()
        for row in top
    )
    challenges = np.full_like(top, 65535)
    expected = 2 * 2048 * 65535 * (LAYOUT.max_wire << PACK15.dropped_bits) % Q
    assert combine_checks(LAYOUT, rows, challenges) == expected
