"""How a round's reward is divided, in whole units, to the last one.

Sums are cumulative over the run: a claim pays the difference to what was paid before, so one claim settles any number of
rounds (see ``TrainingLedger.claim``). A policy gives every included member a weight; :func:`split` divides the reward in
proportion by the method of the largest remainder. No fraction and no rounding dust: the parts add up to the reward.
Anyone can recompute the rewards root of a round from the included set, the reward and the sums before. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from fl_core.errors import LocalProtocolError
from ledger.merkle import MerkleTree, reward_leaf
from ledger.records import ADDRESS_SIZE

_MAX_UINT256 = 2**256 - 1


class RewardPolicy(Enum):
    """By what measure a reward is divided. The value is the word that terms documents use."""

    EQUAL = "equal"
    """Every included member counts the same."""


_WEIGHTS: Mapping[RewardPolicy, Callable[[Sequence[bytes]], dict[bytes, int]]] = {
    RewardPolicy.EQUAL: lambda included: dict.fromkeys(included, 1),
}


def allocate(
    policy: RewardPolicy | str, included: Sequence[bytes], reward: int, previous: Mapping[bytes, int]
) -> dict[bytes, int]:
    """Return the cumulative rewards after a round.

    Args:
        policy: A policy, or its word.
        included: Accounts of the included set U, each once, in any order; at least one.
        reward: What the round pays in all, in the token's smallest unit, at least 0.
        previous: Account -> sum before this round; accounts that earned nothing yet may be absent.

    Returns:
        Account -> sum after this round, in address order, for everybody in ``previous`` or ``included``.
        The sums grew by exactly ``reward``.

    Raises:
        LocalProtocolError: An unknown policy, an account twice or malformed, a negative or too large amount.
    """
    try:
        weights_of = _WEIGHTS[RewardPolicy(policy)]
    except ValueError as error:
        raise LocalProtocolError(f"There is no reward policy {policy!r}.") from error
    if len(set(included)) != len(included):
        raise LocalProtocolError("An account is included once.")
    for account, amount in previous.items():
        _check(account, amount)
    parts = split(reward, weights_of(included))
    total = {
        account: previous.get(account, 0) + parts.get(account, 0)
        for account in sorted(previous.keys() | parts.keys())
    }
    if sum(total.values()) > _MAX_UINT256:
        raise LocalProtocolError("The rewards of a run exceed an unsigned 256-bit number.")
    return total


def split(total: int, weights: Mapping[bytes, int]) -> dict[bytes, int]:
    """Divide ``total`` in proportion to ``weights`` by the method of the largest remainder.

    Each account gets the whole part of its quota ``total * weight / sum(weights)``; the units that are left go, one
    each, to the largest remainders, and among equal remainders to the lowest address.

    Args:
        total: What is divided, at least 0.
        weights: Account -> weight, at least 0, not all 0.

    Returns:
        Account -> part, in address order. The parts add up to ``total``.

    Raises:
        LocalProtocolError: A malformed account, a negative number, or no weight at all.
    """
    for account, weight in weights.items():
        _check(account, weight)
    whole = sum(weights.values())
    if total < 0 or whole == 0:
        raise LocalProtocolError("A reward is not negative and is divided among somebody.")
    quotas = {account: divmod(total * weights[account], whole) for account in sorted(weights)}
    parts = {account: quota for account, (quota, _) in quotas.items()}
    left = total - sum(parts.values())
    # sorted() is stable and quotas are in address order: that breaks the ties
    for account in sorted(quotas, key=lambda account: -quotas[account][1])[:left]:
        parts[account] += 1
    return parts


def rewards_tree(run: bytes, cumulative: Mapping[bytes, int]) -> MerkleTree:
    """Return the tree whose root ``finaliseRound`` records. Accounts that earned nothing have no leaf.

    Args:
        run: The run, 32 bytes.
        cumulative: Account -> sum, from :func:`allocate`.

    Raises:
        LocalProtocolError: Nobody earned anything: such a round records no root.
    """
    return MerkleTree(
        reward_leaf(run, account, amount) for account, amount in cumulative.items() if amount > 0
    )


def _check(account: bytes, amount: int) -> None:
    if len(account) != ADDRESS_SIZE:
        raise LocalProtocolError(f"An account has {ADDRESS_SIZE} bytes, not {len(account)}.")
    if not 0 <= amount <= _MAX_UINT256:
        raise LocalProtocolError(f"An amount is an unsigned 256-bit number, not {amount}.")
