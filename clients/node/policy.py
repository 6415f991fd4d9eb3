"""The holder's rules, and the pure decision they lead to.

A policy can only be stricter than the protocol's own checks. :func:`decide` is a function of values: the same inputs always
give the same answer, and the answer carries its reason in words that a data steward can read.
"""

from __future__ import annotations

from dataclasses import dataclass

from fl_core.protocol.header import RoundHeader
from fl_core.protocol.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a holder allows.

    Attributes:
        tasks: Training tasks that may use the data set.
        parameter_sets: Lattice parameters that are strong enough for the holder.
        least_partners: Least number of contributions in any sum that this holder is part of, itself included.
        max_rounds: Most rounds of one run that this holder takes part in.
        allow_plaintext: Whether updates may leave without encryption. For comparisons on public data only.
        allow_ckks: Whether updates may leave under a key that every holder of the run has; ``docs/how-to/choose-protection.md``.
        checkpoints: How many members must have co-signed a block of an embedded chain before this holder acts on it; 0 for
            more than two thirds, and never less than a majority (:mod:`ledger.finality`).
        release_ckks_model: Whether the coordinator may have the model of such a run; without it the model stays with holders.
    """

    tasks: tuple[str, ...]
    parameter_sets: tuple[str, ...] = ("P4096",)
    least_partners: int = 3
    max_rounds: int = 1000
    allow_plaintext: bool = False
    allow_ckks: bool = False
    release_ckks_model: bool = False
    checkpoints: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A policy's answer."""

    allowed: bool
    reason: str


def decide(policy: Policy, *, header: RoundHeader, terms: Terms, rounds_done: int) -> Decision:
    """Decide whether this holder takes part in a round.

    Args:
        policy: The holder's rules.
        header: The round, already checked against ledger and terms.
        terms: The run's terms that the holder accepted.
        rounds_done: Rounds of this run that the holder has already contributed to.
    """
    if terms.task not in policy.tasks:
        return Decision(
            allowed=False, reason=f"the policy allows the tasks {list(policy.tasks)}, not {terms.task!r}"
        )
    if header.parameter_set not in policy.parameter_sets:
        return Decision(
            allowed=False, reason=f"the policy does not allow the parameter set {header.parameter_set!r}"
        )
    if header.n_min < policy.least_partners:
        return Decision(
            allowed=False,
            reason=f"the policy wants sums of at least {policy.least_partners} holders, the round allows {header.n_min}",
        )
    if rounds_done >= policy.max_rounds:
        return Decision(
            allowed=False, reason=f"the policy's limit of {policy.max_rounds} rounds for this run is reached"
        )
    return Decision(allowed=True, reason="every rule of the policy is met")


def decide_plaintext(policy: Policy, task: str) -> Decision:
    """Decide whether the holder trains for a run that has no protection at all."""
    if not policy.allow_plaintext:
        return Decision(allowed=False, reason="the policy does not let an update leave without encryption")
    if task not in policy.tasks:
        return Decision(
            allowed=False, reason=f"the policy allows the tasks {list(policy.tasks)}, not {task!r}"
        )
    return Decision(allowed=True, reason="the policy allows plaintext runs of this task")


def decide_ckks(policy: Policy, *, terms: Terms, holders: int, rounds_done: int) -> Decision:
    """Decide whether this holder takes part in a run whose holders share one key.

    Args:
        policy: The holder's rules.
        terms: The run's terms that the holder accepted.
        holders: Number of holders that share the key, or number of uploads in a sum.
        rounds_done: Rounds of this run that the holder has already contributed to.
    """
    if not policy.allow_ckks:
        return Decision(
            allowed=False,
            reason="the policy does not let an update leave under a key that other holders have",
        )
    if terms.task not in policy.tasks:
        return Decision(
            allowed=False, reason=f"the policy allows the tasks {list(policy.tasks)}, not {terms.task!r}"
        )
    if holders < policy.least_partners:
        return Decision(
            allowed=False,
            reason=f"the policy wants sums of at least {policy.least_partners} holders, here are {holders}",
        )
    if rounds_done >= policy.max_rounds:
        return Decision(
            allowed=False, reason=f"the policy's limit of {policy.max_rounds} rounds for this run is reached"
        )
    return Decision(allowed=True, reason="the policy allows CKKS rounds of this task")
