"""The arithmetic of committees: thresholds and least numbers."""

from __future__ import annotations

from collections import Counter
from math import comb

import pytest

from fl_core.protocol.rules import (
    LARGE_COMMITTEE,
    LEAST_INCLUDED,
    SMALL_COHORT,
    WHOLE_COHORT_COMMITTEE,
    committee_of,
    committee_size,
    least_n_min,
    threshold_of,
)


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


def accounts(count):
    return [bytes([i >> 8, i & 255]) * 10 for i in range(count)]


def drawn(count, beacon=b"b" * 32, round_number=1, run=b"r" * 32):
    return committee_of(accounts(count), run=run, round_number=round_number, beacon=beacon)


def test_up_to_sixteen_clients_everyone_is_a_member():
    for count in range(1, WHOLE_COHORT_COMMITTEE + 1):
        assert list(drawn(count)) == sorted(accounts(count))


def test_larger_cohorts_have_committees_of_the_stated_sizes():
    assert [committee_size(n) for n in (17, SMALL_COHORT)] == [16, 16]
    assert [committee_size(n) for n in (SMALL_COHORT + 1, 64, 65, 10_000)] == [51, 64, 64, LARGE_COMMITTEE]


def test_the_committee_is_an_ascending_part_of_the_cohort_whatever_the_cohorts_order():
    committee = drawn(40)
    assert set(committee) < set(accounts(40))
    assert list(committee) == sorted(set(committee))
    backwards = committee_of(reversed(accounts(40)), run=b"r" * 32, round_number=1, beacon=b"b" * 32)
    assert backwards == committee


def test_another_beacon_round_or_run_draws_another_committee():
    committees = {drawn(40), drawn(40, beacon=b"c" * 32), drawn(40, round_number=2), drawn(40, run=b"s" * 32)}
    assert len(committees) == 4


def test_every_client_is_drawn_equally_often():
    seats = Counter(a for i in range(600) for a in drawn(20, beacon=i.to_bytes(32, "big")))
    # 600 draws with probability 16/20: 480 expected, standard deviation 9.8; six of them for the 20 clients together.
    assert len(seats) == 20
    assert all(abs(count - 480) < 60 for count in seats.values())


def test_a_fifth_of_a_thousand_colluders_hold_a_third_of_the_seats_rarely_and_two_thirds_never():
    def at_least(seats):
        good, bad, members = 800, 200, LARGE_COMMITTEE
        ways = (comb(bad, i) * comb(good, members - i) for i in range(seats, members + 1))
        return sum(ways) / comb(good + bad, members)

    assert at_least(-(-LARGE_COMMITTEE // 3)) < 0.01
    assert at_least(threshold_of(LARGE_COMMITTEE)) < 2**-55
