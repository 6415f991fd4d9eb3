"""The holder's rules, and what they are asked about.

A policy can only be stricter than the protocol's own checks. :mod:`clients.node.decisions` has what it leads to;
``docs/reference/policy.md`` says the same rule by rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DAY_S = 86_400
DEFAULT_DATA = "records"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a holder allows.

    Attributes:
        tasks: Training tasks that may use the data.
        parameter_sets: Lattice parameters that are strong enough for the holder.
        least_partners: Least number of contributions in any sum that this holder is part of, itself included.
        max_rounds: Most rounds of one run that this holder takes part in.
        allow_plaintext: Whether updates may leave without encryption. For comparisons on public data only.
        allow_ckks: Whether updates may leave under a key that every holder of the run has; ``docs/how-to/choose-protection.md``.
        checkpoints: How many members must have co-signed a block of an embedded chain before this holder acts on it; 0 for
            more than two thirds, and never less than a majority (:mod:`ledger.finality`).
        release_ckks_model: Whether the coordinator may have the model of such a run; without it the model stays with holders.
        colluders: How many other holders may work together with the coordinator and still learn no single update: a sum
            without them has two updates at least, and they are fewer than the shares that open one.
        max_rounds_per_day: Most contributions from one data set in 24 hours, in all runs; 0 for no limit.
        max_rounds_per_data_set: Most contributions from one data set ever, in all runs; 0 for no limit.
        max_epsilon: Largest privacy loss of a run; 0 for no limit. With a limit, runs that state no loss are refused.
        allow_blame_opening: Whether runs may show single values of updates when somebody spoilt a sum.
        allow_weight_opening: Whether runs may pay by examples, which shows everybody this holder's number of examples.
        bundles: Digests of the app bundles that may be named by terms, hexadecimal; none for all.
        expires: Unix time in seconds from which on this policy allows nothing; 0 for never.
        data: Task -> name of the data set that it uses; ``records`` where none is named.
    """

    tasks: tuple[str, ...]
    parameter_sets: tuple[str, ...] = ("P4096",)
    least_partners: int = 3
    max_rounds: int = 1000
    allow_plaintext: bool = False
    allow_ckks: bool = False
    release_ckks_model: bool = False
    checkpoints: int = 0
    colluders: int = 1
    max_rounds_per_day: int = 0
    max_rounds_per_data_set: int = 0
    max_epsilon: float = 0.0
    allow_blame_opening: bool = True
    allow_weight_opening: bool = True
    bundles: tuple[str, ...] = ()
    expires: int = 0
    data: tuple[tuple[str, str], ...] = ()

    def data_set(self, task: str) -> str:
        """Return the name of the data set that a task uses."""
        return dict(self.data).get(task, DEFAULT_DATA)

    @property
    def data_sets(self) -> frozenset[str]:
        """Names of the data sets that allowed tasks use."""
        return frozenset(self.data_set(task) for task in self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What this holder has done already, and when it is asked.

    Attributes:
        rounds_done: Rounds of this run that it contributed to before.
        today: Contributions from the data set in the last 24 hours, this round's apart.
        ever: Contributions from the data set ever, this round's apart.
        now: Unix time in seconds.
    """

    rounds_done: int = 0
    today: int = 0
    ever: int = 0
    now: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a run or a round asks for.

    Attributes:
        task: Training task.
        protection: Parameter set, or ``"none"``.
        holders: Least number of holders in a sum.
        threshold: Members whose shares open a single update; 0 where that is not known before the round, or not so.
        shared_key: Whether all holders of the run have its key (the CKKS mode).
        blame_opening: Whether terms allow it.
        weight_opening: Whether terms pay by examples.
        bundle: Digest of the app bundle, hexadecimal, or empty.
        settings: Which setting of the task is out of its range; empty where none is.
        epsilon: Privacy loss of the whole run; None where the terms state none.
        usage: What was done before.
    """

    task: str
    protection: str
    holders: int
    threshold: int = 0
    shared_key: bool = False
    blame_opening: bool = False
    weight_opening: bool = False
    bundle: str = ""
    settings: str = ""
    epsilon: float | None = None
    usage: Usage = field(default_factory=Usage)
