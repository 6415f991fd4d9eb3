"""Which answers lie on one polynomial: every pattern of errors within reach is located, and more are listed."""

from __future__ import annotations

import random
from itertools import combinations
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_core.errors import LocalProtocolError
from fl_core.lattice.parameters import P2048
from fl_core.secagg.reed_solomon import MAX_SUBSETS, candidates, value_at_zero

Q = P2048.modulus
LAW = settings(max_examples=60, deadline=None)
SIZES = ((4, 3), (7, 5), (16, 11), (64, 43))
"""Members and threshold, as the protocol has them."""


def word(seed, threshold, points):
    """The values of a random polynomial of degree < threshold, and its value at zero."""
    rng = random.Random(repr(seed))
    coefficients = [rng.randrange(Q) for _ in range(threshold)]
    return {x: sum(c * pow(x, i, Q) for i, c in enumerate(coefficients)) % Q for x in points}, coefficients[0]


@st.composite
def corrupted(draw, within_reach):
    """A word, of which some values are changed; the size of the committee, who answers and what is wrong with whom."""
    members, threshold = draw(st.sampled_from(SIZES if within_reach else SIZES[:2]))
    least = threshold if within_reach else min(members, threshold + 1)
    points = sorted(draw(st.sets(st.integers(1, members), min_size=least, max_size=members)))
    reach = (len(points) - threshold) // 2
    most = reach if within_reach else len(points) - threshold
    wrong = draw(st.sets(st.sampled_from(points), min_size=0 if within_reach else 1, max_size=most))
    values, zero = word(draw(st.integers(0, 2**32)), threshold, points)
    errors = {x: draw(st.one_of(st.just(1), st.integers(1, Q - 1))) for x in wrong}
    return threshold, {x: (v + errors.get(x, 0)) % Q for x, v in values.items()}, set(wrong), zero


@LAW
@given(corrupted(within_reach=True))
def test_up_to_half_of_what_is_spare_every_pattern_of_errors_is_located_first(case):
    threshold, values, wrong, zero = case
    agreeing = next(candidates(Q, threshold, values))
    assert agreeing == tuple(x for x in sorted(values) if x not in wrong)
    assert value_at_zero(Q, threshold, values, agreeing) == zero


@LAW
@given(corrupted(within_reach=False))
def test_beyond_that_the_right_values_are_among_the_candidates(case):
    threshold, values, wrong, zero = case
    listed = list(candidates(Q, threshold, values))
    right = [set(found) for found in listed if value_at_zero(Q, threshold, values, found) == zero]
    good = set(values) - wrong
    assert any(good <= found for found in right)


@LAW
@given(corrupted(within_reach=False))
def test_every_candidate_is_a_largest_set_on_one_polynomial_and_comes_once(case):
    threshold, values, _, _ = case
    listed = list(candidates(Q, threshold, values))
    assert len(listed) == len(set(listed))
    for found in listed:
        assert len(found) >= threshold
        assert list(found) == sorted(found)
        for other in listed:
            assert found == other or len(set(found) & set(other)) < threshold


@pytest.mark.parametrize(("members", "threshold"), SIZES)
def test_one_and_the_most_errors_are_located_in_committees_of_every_size(members, threshold):
    values, zero = word(members, threshold, range(1, members + 1))
    reach = (members - threshold) // 2
    for wrong in ((), (1,), (members,), range(1, reach + 1), range(members - reach + 1, members + 1)):
        wrong = tuple(wrong)[:reach]
        broken = {x: (v + 7 * x * (x in wrong)) % Q for x, v in values.items()}
        agreeing = next(candidates(Q, threshold, broken))
        assert set(values) - set(agreeing) == set(wrong)
        assert value_at_zero(Q, threshold, broken, agreeing) == zero


@pytest.mark.parametrize(("members", "threshold"), SIZES)
def test_a_word_without_errors_has_one_candidate(members, threshold):
    values, _ = word("whole", threshold, range(1, members + 1))
    assert list(candidates(Q, threshold, values)) == [tuple(range(1, members + 1))]
    exact = dict(list(values.items())[:threshold])
    assert list(candidates(Q, threshold, exact)) == [tuple(range(1, threshold + 1))]


def test_the_order_of_candidates_does_not_depend_on_the_order_of_answers():
    values, _ = word("order", 3, range(1, 6))
    values[2] = (values[2] + 1) % Q
    values[4] = (values[4] + 5) % Q
    listed = list(candidates(Q, 3, values))
    assert listed == list(candidates(Q, 3, dict(reversed(values.items()))))
    assert listed == sorted(listed, key=lambda found: (-len(found), found))
    assert (1, 3, 5) in listed


def test_of_four_with_one_wrong_all_three_others_and_every_set_with_it_are_candidates():
    values, zero = word("four", 3, range(1, 5))
    values[1] = (values[1] + 9) % Q
    listed = list(candidates(Q, 3, values))
    assert listed == list(combinations(range(1, 5), 3))
    assert [value_at_zero(Q, 3, values, found) == zero for found in listed] == [False, False, False, True]


def test_where_there_are_too_many_sets_only_unique_decoding_is_tried():
    assert comb(16, 11) <= MAX_SUBSETS < comb(64, 43)
    values, _ = word("many", 43, range(1, 65))
    broken = {x: (v + x * x * (x <= 11)) % Q for x, v in values.items()}  # one more than (64 - 43)/2
    assert list(candidates(Q, 43, broken)) == []
    broken[11] = values[11]
    assert list(candidates(Q, 43, broken)) == [tuple(range(11, 65))]


def test_a_threshold_of_one_is_a_majority():
    assert next(candidates(Q, 1, {1: 5, 2: 5, 3: 8})) == (1, 2)
    assert value_at_zero(Q, 1, {1: 5, 2: 5, 3: 8}, (1, 2)) == 5


def test_the_zero_polynomial_and_values_at_the_ends_of_the_range():
    zeros = dict.fromkeys(range(1, 8), 0)
    assert next(candidates(Q, 5, zeros)) == tuple(range(1, 8))
    assert next(candidates(Q, 5, {**zeros, 3: Q - 1})) == (1, 2, 4, 5, 6, 7)
    tops = dict.fromkeys(range(1, 8), Q - 1)
    assert next(candidates(Q, 5, {**tops, 7: 0})) == (1, 2, 3, 4, 5, 6)


@pytest.mark.parametrize(("threshold", "count"), [(3, 2), (3, 0), (0, 4), (-1, 1)])
def test_fewer_values_than_make_a_polynomial_are_our_own_error(threshold, count):
    values = dict.fromkeys(range(1, count + 1), 1)
    with pytest.raises(LocalProtocolError, match="values make a polynomial"):
        next(candidates(Q, threshold, values))
