"""Division of rewards without dust."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_core.errors import LocalProtocolError
from ledger.merkle import MerkleTree, reward_leaf
from ledger.rewards import Allocation, RewardPolicy, RoundFacts, rewards_tree, split
from ledger.rewards import allocate as allocated

A, B, C = (bytes([value]) * 20 for value in (1, 2, 3))
accounts = st.binary(min_size=20, max_size=20)
amounts = st.integers(0, 10**30)


def allocate(
    policy: RewardPolicy | str, included: list[bytes], reward: int, previous: dict[bytes, int]
) -> dict[bytes, int]:
    return allocated(policy, RoundFacts(included=included), reward, previous).earned


def test_an_even_reward_is_divided_evenly() -> None:
    assert allocate(RewardPolicy.EQUAL, [A, B, C], 300, {}) == {A: 100, B: 100, C: 100}


def test_units_that_are_left_go_to_the_lowest_addresses() -> None:
    assert allocate("equal", [C, A, B], 101, {}) == {A: 34, B: 34, C: 33}
    assert allocate("equal", [C, A, B], 100, {}) == {A: 34, B: 33, C: 33}
    assert allocate("equal", [C, B], 1, {}) == {B: 1, C: 0}


def test_sums_are_cumulative_and_nobody_is_forgotten() -> None:
    assert allocate("equal", [B, C], 10, {A: 7, B: 1}) == {A: 7, B: 6, C: 5}


def test_accounts_come_in_address_order() -> None:
    assert list(allocate("equal", [C, A], 2, {B: 1})) == [A, B, C]


def test_the_arguments_stay_as_they_are() -> None:
    previous = {A: 1}
    allocate("equal", [A, B], 10, previous)
    assert previous == {A: 1}


@given(st.sets(accounts, min_size=1, max_size=70), amounts, st.dictionaries(accounts, amounts, max_size=5))
def test_the_sums_grow_by_the_reward_exactly(
    included: set[bytes], reward: int, previous: dict[bytes, int]
) -> None:
    after = allocate(RewardPolicy.EQUAL, sorted(included), reward, previous)
    assert sum(after.values()) - sum(previous.values()) == reward
    shares = {after[account] - previous.get(account, 0) for account in included}
    assert max(shares) - min(shares) <= 1
    assert all(after[account] == previous[account] for account in previous.keys() - included)


@given(st.dictionaries(accounts, st.integers(0, 2**32), min_size=1, max_size=30), amounts)
def test_the_largest_remainder_gives_everybody_its_quota_rounded(
    weights: dict[bytes, int], total: int
) -> None:
    whole = sum(weights.values())
    if whole == 0:
        return
    parts = split(total, weights)
    quotas = {account: Fraction(total * weight, whole) for account, weight in weights.items()}
    assert sum(parts.values()) == total
    assert all(parts[account] - int(quota) in (0, 1) for account, quota in quotas.items())
    rounded_up = [quotas[account] % 1 for account in parts if parts[account] > int(quotas[account])]
    rounded_down = [quotas[account] % 1 for account in parts if parts[account] == int(quotas[account])]
    assert not rounded_up or not rounded_down or min(rounded_up) >= max(rounded_down)


def test_the_largest_remainder_comes_before_the_lowest_address() -> None:
    assert split(5, {A: 5, B: 1}) == {A: 4, B: 1}
    assert split(10, {A: 1, B: 1, C: 4}) == {A: 2, B: 2, C: 6}
    assert split(5, {A: 1, B: 5}) == {A: 1, B: 4}
    assert split(7, {A: 3, B: 5}) == {A: 3, B: 4}


@pytest.mark.parametrize(
    ("policy", "included", "reward", "previous"),
    [
        ("shapley", [A], 1, {}),
        ("equal", [], 1, {}),
        ("equal", [A, A], 1, {}),
        ("equal", [A[:19]], 1, {}),
        ("equal", [A], -1, {}),
        ("equal", [A], 1, {B: -1}),
        ("equal", [A], 1, {B[:19]: 1}),
        ("equal", [A], 2**256, {}),
        ("equal", [A], 2**255, {A: 2**255}),
    ],
)
def test_malformed_allocations_are_refused(
    policy: str, included: list[bytes], reward: int, previous: dict[bytes, int]
) -> None:
    with pytest.raises(LocalProtocolError):
        allocate(policy, included, reward, previous)


@pytest.mark.parametrize("weights", [{}, {A: 0}, {A: -1, B: 2}, {b"short": 1}])
def test_malformed_weights_are_refused(weights: dict[bytes, int]) -> None:
    with pytest.raises(LocalProtocolError):
        split(1, weights)


def test_the_rewards_tree_is_over_run_account_and_sum() -> None:
    run = bytes([9]) * 32
    tree = rewards_tree(run, {A: 5, B: 0, C: 6})
    assert tree.root == MerkleTree([reward_leaf(run, A, 5), reward_leaf(run, C, 6)]).root
    assert reward_leaf(run, B, 0) not in tree


def test_nobody_earned_anything_makes_no_tree() -> None:
    with pytest.raises(LocalProtocolError):
        rewards_tree(bytes(32), {A: 0})


def by_examples(facts: RoundFacts, reward: int, previous: dict[bytes, int] | None = None) -> Allocation:
    return allocated(RewardPolicy.BY_EXAMPLES, facts, reward, previous or {})


def test_by_examples_each_is_paid_by_the_weight_that_it_opened() -> None:
    facts = RoundFacts(included=[A, B, C], weights={A: 1, B: 2, C: 3})
    assert by_examples(facts, 100) == Allocation(reward=100, earned={A: 17, B: 33, C: 50})


def test_who_opens_no_weight_gets_nothing_and_the_others_share_all() -> None:
    facts = RoundFacts(included=[A, B, C], weights={A: 1, C: 3})
    assert by_examples(facts, 100, {B: 5}) == Allocation(reward=100, earned={A: 25, B: 5, C: 75})


@pytest.mark.parametrize("facts", [
    RoundFacts(included=[A, B], weights={A: 1, B: 3}, weights_fit=False),
    RoundFacts(included=[A, B]),
])  # fmt: skip
def test_weights_that_do_not_fit_or_are_all_missing_pay_nobody(facts: RoundFacts) -> None:
    assert by_examples(facts, 100, {A: 7}) == Allocation(reward=0, earned={A: 7, B: 0})


def test_a_weight_of_nobody_included_is_refused() -> None:
    with pytest.raises(LocalProtocolError):
        RoundFacts(included=[A], weights={B: 1})


@given(st.dictionaries(accounts, st.integers(1, 32766), min_size=2, max_size=40), amounts)
def test_no_coalition_gains_by_claiming_what_its_silent_members_leave(
    weights: dict[bytes, int], reward: int
) -> None:
    """Two work together: one claims all that the sum leaves for the other, who opens nothing."""
    liar, silent = sorted(weights)[:2]
    told = weights | {liar: weights[liar] + weights[silent] - 1}
    del told[silent]
    lied = by_examples(RoundFacts(included=sorted(weights), weights=told), reward)
    honest = by_examples(RoundFacts(included=sorted(weights), weights=weights), reward)
    assert sum(lied.earned.values()) == sum(honest.earned.values()) == reward
    assert lied.earned[liar] <= honest.earned[liar] + honest.earned[silent] + 1, (
        "but for one unit of rounding"
    )
