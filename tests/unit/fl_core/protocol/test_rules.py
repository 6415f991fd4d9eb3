"""The arithmetic of committees: thresholds and least numbers."""

from __future__ import annotations

import pytest

from fl_core.protocol.rules import LEAST_INCLUDED, WHOLE_COHORT_COMMITTEE, least_n_min, threshold_of


def test_the_threshold_of_small_committees():
    assert [threshold_of(m) for m in range(1, 10)] == [1, 2, 3, 3, 4, 5, 5, 6, 7]


@pytest.mark.parametrize("members", range(1, 129))
def test_two_sets_cannot_both_be_opened_while_fewer_than_a_third_of_the_members_collude(members):
    threshold = threshold_of(members)
    assert 1 <= threshold <= members
    for colluding in range(-(-members // 3)):  # c < m / 3
        assert 3 * colluding < members
        honest = members - colluding
        # Two sets need t answers each; a colluder answers twice, an honest member once.
        assert 2 * (threshold - colluding) > honest


def test_nearly_a_third_of_the_members_may_be_away():
    assert all(m - threshold_of(m) == (m - 1) // 3 for m in range(1, 129))


@pytest.mark.parametrize("clients", range(1, 65))
def test_the_least_included_set_is_two_thirds_and_at_least_three(clients):
    least = least_n_min(clients)
    assert least >= LEAST_INCLUDED
    assert 3 * least >= 2 * clients
    assert least == LEAST_INCLUDED or 3 * (least - 1) < 2 * clients


def test_the_whole_cohort_fits_the_packing():
    assert WHOLE_COHORT_COMMITTEE <= 64
