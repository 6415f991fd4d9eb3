"""The points of the crash matrix: who is killed, and when."""

from __future__ import annotations

from dataclasses import dataclass

COORDINATOR, NODE, CHAIN = "coordinator", "node", "chain"
ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One kill.

    Attributes:
        phase: Of the round, for people.
        party: Who is killed with SIGKILL.
        moment: When; see :mod:`tests.simulators.killable`.
        occurrence: The moment's how-manieth one: round 2 where it comes once a round, so that there is a model to lose.
        away_s: Seconds until the killed party is started again.
        rewards: Reward policy of the run.
        rounds: How many the run has.
    """

    phase: str
    party: str
    moment: str
    occurrence: int = 2
    away_s: float = 0.5
    rewards: str = "equal"
    rounds: int = ROUNDS

    @property
    def settles(self) -> bool:
        """Whether the kill is in the settlement after the rounds."""
        return self.moment.endswith(" claim")

    @property
    def name(self) -> str:
        """For test ids and the table."""
        return f"{self.party}: {self.phase}, {self.moment}"


_PHASES = (
    ("enrolment", "after enrolled", 1),
    ("opening", "before open_round", 2),
    ("opening", "after open_round", 2),
    ("training", "after contribution", 5),
    ("commit V", "before commit_round", 2),
    ("commit V", "after commit_round", 2),
    ("share check", "after answer share check", 5),
    ("commit U", "before commit_included", 2),
    ("commit U", "after commit_included", 2),
    ("reveal", "after answer reveal", 5),
    ("finalise", "before finalise_round", 2),
    ("finalise", "after finalise_round", 2),
    ("reward", "after claim", 2),
)
_ONLY_COORDINATOR = (
    ("opening", "after journal header", 2),
    ("commit V", "after journal accepted", 2),
    ("commit U", "after journal included", 2),
    ("decrypt", "after journal key", 2),
    ("publish", "before journal done", 2),
    ("publish", "after round-finalised", 2),
    ("reward", "before claim", 1),
)

POINTS = (
    *(
        Point(phase=p, party=COORDINATOR, moment=m, occurrence=n)
        for p, m, n in (*_PHASES, *_ONLY_COORDINATOR)
    ),
    *(
        Point(phase=p, party=NODE, moment=m, occurrence=n, rounds=2 * ROUNDS if p == "enrolment" else ROUNDS)
        for p, m, n in _PHASES
        if p != "reward"
    ),
    *(Point(phase=p, party=CHAIN, moment=m, occurrence=n, away_s=3.0) for p, m, n in _PHASES),
    *(
        Point(
            phase=phase,
            party=party,
            moment="after answer weight",
            occurrence=n,
            away_s=away,
            rewards="by-examples",
        )
        for party, away in ((COORDINATOR, 0.5), (NODE, 0.5), (CHAIN, 3.0))
        for phase, n in (("weights, the first", 5), ("weights, the third", 7))
    ),
    Point(phase="training, a minute", party=CHAIN, moment="after contribution", occurrence=6, away_s=60.0),
)
