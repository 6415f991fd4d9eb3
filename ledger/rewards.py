"""How a round's reward is divided, in whole units, to the last one.

Sums are cumulative over the run: a claim pays the difference to what was paid before, so one claim settles any number of
rounds (see ``TrainingLedger.claim``). A :class:`ContributionScore` gives every included member a whole number, from facts about the
round that anybody can check; :func:`split` divides the reward in proportion by the method of the largest remainder. No fraction and no
rounding dust: the parts add up to the reward, or nobody is paid and the reward stays in escrow. Pure.

==================  ==================================================================================================
``equal``           every included member counts the same
``by-examples``     by the weight that each opened; who opened none gets nothing, the others share the whole reward; if the
                    opened weights cannot be those of the sum, nobody is paid for the round
==================  ==================================================================================================

A further score (leave-one-out, an approximation of Shapley values, ...) is one more class and one more entry of :data:`SCORES`. It
has to be computable, to the bit, from what is archived; what else it needs goes into :class:`RoundFacts`. Word and rule are part of the
terms, so a score never changes once a run uses it. Why those rules: ``docs/adr/0019-weights-open-after-the-sum.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from fl_core.errors import LocalProtocolError
from fl_core.protocol.terms import BY_EXAMPLES
from ledger.merkle import MerkleTree, reward_leaf
from ledger.records import ADDRESS_SIZE

_MAX_UINT256 = 2**256 - 1


class RewardPolicy(Enum):
    """By what measure a reward is divided. The value is the word that terms documents use."""

    EQUAL = "equal"
    """Every included member counts the same."""
    BY_EXAMPLES = BY_EXAMPLES
    """In proportion to the weights, for which the members open them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFacts:
    """What is known of a finalised round when its reward is divided; every field follows from the archive.

    Attributes:
        included: Accounts of the included set U, each once, in any order; at least one.
        weights: Account -> weight that it opened, in units, each checked against its leaf; empty where none are opened.
        weights_fit: Whether they can be the weights of the sum (:func:`fl_core.protocol.weights.verify_weight_sum`).

    Raises:
        LocalProtocolError: An account is twice in the set or malformed, or a weight is not one of an included account.
    """

    included: Sequence[bytes]
    weights: Mapping[bytes, int] = field(default_factory=dict)
    weights_fit: bool = True

    def __post_init__(self) -> None:
        if len(set(self.included)) != len(self.included):
            raise LocalProtocolError("An account is included once.")
        if not self.weights.keys() <= set(self.included):
            raise LocalProtocolError("Only an included account has a weight.")
        for account in self.included:
            _check(account, self.weights.get(account, 0))


class ContributionScore(Protocol):
    """Measures what each included member contributed to one round."""

    def scores(self, facts: RoundFacts) -> dict[bytes, int]:
        """Return account -> score, at least 0, in whatever unit: only proportions count.

        Who is missing has the score 0. No positive score at all means that nobody is paid for the round.
        """
        ...


class Equal:
    """Every included member counts the same. Needs nothing but the included set."""

    def scores(self, facts: RoundFacts) -> dict[bytes, int]:
        """Return 1 for each."""
        return dict.fromkeys(facts.included, 1)


class ByExamples:
    """The weight that each member opened: its number of examples up to the cap of the terms."""

    def scores(self, facts: RoundFacts) -> dict[bytes, int]:
        """Return the opened weights; nothing where they do not fit the sum, for then one of them is a lie and nobody knows whose."""
        return dict(facts.weights) if facts.weights_fit else {}


SCORES: Mapping[RewardPolicy, ContributionScore] = {
    RewardPolicy.EQUAL: Equal(),
    RewardPolicy.BY_EXAMPLES: ByExamples(),
}
"""Policy -> how it measures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What a round pays.

    Attributes:
        reward: In all: the budget of the round, or 0 where nobody is paid.
        earned: Account -> sum after the round, in address order, for everybody who earned before or was included.
    """

    reward: int
    earned: dict[bytes, int]


def allocate(
    policy: RewardPolicy | str, facts: RoundFacts, reward: int, previous: Mapping[bytes, int]
) -> Allocation:
    """Divide a round's reward.

    Args:
        policy: A policy, or its word.
        facts: The round.
        reward: What the round may pay in all, in the token's smallest unit, at least 0.
        previous: Account -> sum before this round; accounts that earned nothing yet may be absent.

    Returns:
        The sums after the round; they grew by exactly ``reward``, or by nothing where the policy's score is 0 for everybody.

    Raises:
        LocalProtocolError: An unknown policy, nobody included, a malformed account, a negative or too large amount.
    """
    try:
        score = SCORES[RewardPolicy(policy)]
    except ValueError as error:
        raise LocalProtocolError(f"There is no reward policy {policy!r}.") from error
    if not facts.included or reward < 0:
        raise LocalProtocolError("A reward is not negative and is divided among somebody.")
    for account, amount in previous.items():
        _check(account, amount)
    scores = {account: 0 for account in facts.included} | score.scores(facts)
    paid = reward if any(scores.values()) else 0
    parts = split(paid, scores) if paid else dict.fromkeys(scores, 0)
    total = {
        account: previous.get(account, 0) + parts.get(account, 0)
        for account in sorted(previous.keys() | parts.keys())
    }
    if sum(total.values()) > _MAX_UINT256:
        raise LocalProtocolError("The rewards of a run exceed an unsigned 256-bit number.")
    return Allocation(reward=paid, earned=total)


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
