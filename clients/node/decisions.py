"""What a holder's policy says to a run or a round: the pure decision.

:func:`rulings` looks at every rule, for a person who asks why; :func:`decide` and its likes answer with the first rule that says
no. All are functions of values: the same inputs always give the same answer, in words that a data steward can read.
"""

from __future__ import annotations

from dataclasses import dataclass

from clients.node.policy import Ask, Policy, Usage
from clients.training.settings import settings_problem
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.terms import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A policy's answer."""

    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What one rule says.

    Attributes:
        rule: The field of :class:`Policy`.
        demands: What the policy demands, in words.
        says: What the run says.
        allowed: Whether that is within the rule.
        reason: Why not; empty where it is.
    """

    rule: str
    demands: str
    says: str
    allowed: bool
    reason: str = ""


def rulings(policy: Policy, ask: Ask) -> tuple[Ruling, ...]:
    """Return what every rule that concerns ``ask`` says, in the order in which :func:`decide` asks them."""
    return (
        *_when(policy, ask),
        *_protection(policy, ask),
        *_partners(policy, ask),
        *_limits(policy, ask),
        *_rest(policy, ask),
    )


def _ruling(rule: str, demands: str, says: str, allowed: bool, reason: str) -> Ruling:
    return Ruling(rule=rule, demands=demands, says=says, allowed=allowed, reason="" if allowed else reason)


def _when(policy: Policy, ask: Ask) -> tuple[Ruling, ...]:
    tasks, now = list(policy.tasks), ask.usage.now
    return (
        _ruling(
            "expires",
            f"before {policy.expires} (Unix time)" if policy.expires else "no end",
            f"now is {now}",
            not policy.expires or now < policy.expires,
            "the policy has expired; the holder has to renew it",
        ),
        _ruling(
            "tasks",
            f"one of {tasks}",
            repr(ask.task),
            ask.task in policy.tasks,
            f"the policy allows the tasks {tasks}, not {ask.task!r}",
        ),
        _ruling(
            "tasks",
            "settings in the task's ranges",
            ask.settings or "none is out of its range",
            not ask.settings,
            f"a setting is not one that the task can train with: {ask.settings}",
        ),
    )


def _protection(policy: Policy, ask: Ask) -> tuple[Ruling, ...]:
    if ask.protection == "none":
        return (
            _ruling(
                "allow_plaintext",
                "plaintext allowed" if policy.allow_plaintext else "encryption",
                "no encryption",
                policy.allow_plaintext,
                "the policy does not let an update leave without encryption",
            ),
        )
    if ask.shared_key:
        return (
            _ruling(
                "allow_ckks",
                "shared keys allowed" if policy.allow_ckks else "a key that nobody has alone",
                "a key that every holder of the run has",
                policy.allow_ckks,
                "the policy does not let an update leave under a key that other holders have",
            ),
        )
    return (
        _ruling(
            "parameter_sets",
            f"one of {list(policy.parameter_sets)}",
            repr(ask.protection),
            ask.protection in policy.parameter_sets,
            f"the policy does not allow the parameter set {ask.protection!r}",
        ),
    )


def _partners(policy: Policy, ask: Ask) -> tuple[Ruling, ...]:
    if ask.protection == "none":
        return ()
    least, c = policy.least_partners, policy.colluders
    here = f"here are {ask.holders}" if ask.shared_key else f"the round allows {ask.holders}"
    found = [
        _ruling(
            "least_partners",
            f"sums of at least {least} holders",
            f"sums of at least {ask.holders}",
            ask.holders >= least,
            f"the policy wants sums of at least {least} holders, {here}",
        )
    ]
    if not ask.shared_key:
        shares = f", {ask.threshold} members open one update" if ask.threshold else ""
        found.append(
            _ruling(
                "colluders",
                f"no single update shown to {c} colluding holders",
                f"sums of at least {ask.holders}{shares}",
                ask.holders - c >= 2 and (not ask.threshold or ask.threshold > c),
                f"the policy expects {c} colluding holders: sums need {c + 2} holders and shares more than {c} members, "
                f"the round allows {ask.holders} and {ask.threshold or 'an unknown number'}",
            )
        )
    return tuple(found)


def _limits(policy: Policy, ask: Ask) -> tuple[Ruling, ...]:
    if ask.protection == "none":
        return ()
    usage = ask.usage

    def limit(rule: str, most: int, done: int, what: str) -> Ruling:
        unlimited = most == 0 and rule != "max_rounds"
        return _ruling(
            rule,
            "no limit" if unlimited else f"at most {most} {what}",
            f"{done} so far",
            unlimited or done < most,
            f"the policy's limit of {most} {what} is reached",
        )

    return (
        limit("max_rounds", policy.max_rounds, usage.rounds_done, "rounds for this run"),
        limit(
            "max_rounds_per_day",
            policy.max_rounds_per_day,
            usage.today,
            "rounds in 24 hours from this data set",
        ),
        limit(
            "max_rounds_per_data_set", policy.max_rounds_per_data_set, usage.ever, "rounds from this data set"
        ),
    )


def _rest(policy: Policy, ask: Ask) -> tuple[Ruling, ...]:
    stated = "no privacy loss is stated" if ask.epsilon is None else f"{ask.epsilon:g}"
    return (
        _ruling(
            "max_epsilon",
            f"a privacy loss of at most {policy.max_epsilon:g}" if policy.max_epsilon else "no limit",
            stated,
            not policy.max_epsilon or (ask.epsilon is not None and ask.epsilon <= policy.max_epsilon),
            f"the policy wants a privacy loss of at most {policy.max_epsilon:g}; of this run: {stated}",
        ),
        _ruling(
            "allow_blame_opening",
            "allowed" if policy.allow_blame_opening else "no single value of an update is ever shown",
            "blame openings" if ask.blame_opening else "no blame openings",
            policy.allow_blame_opening or not ask.blame_opening,
            "the policy allows no blame opening, the terms do",
        ),
        _ruling(
            "allow_weight_opening",
            "allowed" if policy.allow_weight_opening else "nobody learns the number of examples",
            "pays by examples: everybody learns them" if ask.weight_opening else "no weight is opened",
            policy.allow_weight_opening or not ask.weight_opening,
            "the policy lets nobody know the number of examples, the terms pay by them",
        ),
        _ruling(
            "bundles",
            f"one of {[bundle[:16] for bundle in policy.bundles]}" if policy.bundles else "any",
            ask.bundle[:16] or "code that is installed with the node",
            not policy.bundles or not ask.bundle or ask.bundle in policy.bundles,
            f"the policy does not allow the app bundle {ask.bundle[:16]}",
        ),
    )


def _decision(policy: Policy, ask: Ask, praise: str) -> Decision:
    refused = next((ruling for ruling in rulings(policy, ask) if not ruling.allowed), None)
    return (
        Decision(allowed=True, reason=praise)
        if refused is None
        else Decision(allowed=False, reason=refused.reason)
    )


def ask_of(terms: Terms, usage: Usage, *, shared_key: bool, threshold: int = 0) -> Ask:
    """Return what a run's terms ask for, before a round or with its ``threshold``."""
    return Ask(
        task=terms.task,
        protection=terms.parameter_set,
        holders=terms.n_min,
        threshold=threshold,
        shared_key=shared_key,
        # a run with a shared key has neither, whatever the terms say
        blame_opening=terms.blame_opening and not shared_key,
        weight_opening=terms.opens_weights and not shared_key,
        bundle=terms.bundle,
        settings=settings_problem(terms.task, terms.task_settings),
        usage=usage,
    )


def decide(
    policy: Policy, *, header: RoundHeader, terms: Terms, rounds_done: int = 0, usage: Usage | None = None
) -> Decision:
    """Decide whether this holder takes part in a round.

    Args:
        policy: The holder's rules.
        header: The round, already checked against ledger and terms.
        terms: The run's terms that the holder accepted.
        rounds_done: Rounds of this run that the holder has already contributed to, where no ``usage`` is given.
        usage: What the holder has done already.
    """
    asked = Ask(
        task=terms.task,
        protection=header.parameter_set,
        holders=header.n_min,
        threshold=header.threshold,
        blame_opening=terms.blame_opening,
        weight_opening=terms.opens_weights,
        bundle=terms.bundle,
        settings=settings_problem(terms.task, terms.task_settings),
        usage=usage or Usage(rounds_done=rounds_done),
    )
    return _decision(policy, asked, "every rule of the policy is met")


def decide_plaintext(policy: Policy, task: str, now: int = 0) -> Decision:
    """Decide whether the holder trains for a run that has no protection at all."""
    ask = Ask(task=task, protection="none", holders=1, usage=Usage(now=now))
    if not policy.allow_plaintext:
        return Decision(allowed=False, reason="the policy does not let an update leave without encryption")
    return _decision(policy, ask, "the policy allows plaintext runs of this task")


def decide_ckks(
    policy: Policy, *, terms: Terms, holders: int, rounds_done: int = 0, usage: Usage | None = None
) -> Decision:
    """Decide whether this holder takes part in a run whose holders share one key.

    Args:
        policy: The holder's rules.
        terms: The run's terms that the holder accepted.
        holders: Number of holders that share the key, or number of uploads in a sum.
        rounds_done: Rounds of this run that the holder has already contributed to, where no ``usage`` is given.
        usage: What the holder has done already.
    """
    if not policy.allow_ckks:
        return Decision(
            allowed=False,
            reason="the policy does not let an update leave under a key that other holders have",
        )
    ask = Ask(
        task=terms.task,
        protection=terms.parameter_set,
        holders=holders,
        shared_key=True,
        bundle=terms.bundle,
        settings=settings_problem(terms.task, terms.task_settings),
        usage=usage or Usage(rounds_done=rounds_done),
    )
    return _decision(policy, ask, "the policy allows CKKS rounds of this task")
