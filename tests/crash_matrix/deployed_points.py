"""The points of the deployed part of the crash matrix: processes of the production services, killed at each phase of a round."""

from __future__ import annotations

from dataclasses import dataclass

SUPERLINK, SUPERNODE, SERVICE = "SuperLink", "SuperNode", "SuperLink's service"
PROGRAM, HOSPITAL, RELAY = "coordinator's program", "node's service", "relay"
ENDS_THE_RUN = (SERVICE, PROGRAM)
"""Whose death ends the run on the SuperLink: the researcher resumes it by one command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill.

    Attributes:
        party: Who is killed with SIGKILL: Flower's SuperLink below its service, a hospital's SuperNode below its node, the
            coordinator's ServerApp, ``suture-node serve`` with everything below it, ``suture superlink serve`` with
            everything below it, or the relay, from which the hospitals have the embedded chain.
        phase: Of the round, for people.
        moment: An event of the coordinator, or what is seen at a hospital; see :class:`tests.crash_matrix.eye.Eye`.
        count: The moment's how-manieth one in the round.
        away_s: Seconds until the supervisor starts it again; 0 for at once.
    """

    party: str
    phase: str
    moment: str
    count: int = 1
    away_s: float = 0.0

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.party}: {self.phase}, {self.when}"

    @property
    def when(self) -> str:
        """The moment and its count, for people."""
        return self.moment + (f" ({self.count})" if self.count > 1 else "")


_PHASES = (
    ("before the opening", "after round-finalised", 1),
    ("opening", "after round-opened", 1),
    ("training", "an app runs", 1),
    ("sealing", "a frame is sealed", 1),
    ("upload", "a frame leaves", 1),
    ("training", "after contribution", 1),
    ("commit V", "after contribution", 4),  # the last one: V is committed next
    ("share check", "after answer share check", 1),
    ("commit U", "after sets-committed", 1),
    ("reveal", "an answer leaves", 1),
    ("reveal", "after answer reveal", 1),
    ("reveal", "after answer reveal", 3),
    ("finalise", "after answer reveal", 4),  # the last one: the sum is opened and the model finalised next
)
_OTHERS = {
    SERVICE: (("training", "an app runs"), ("upload", "a frame leaves"), ("reveal", "after sets-committed")),
    PROGRAM: (
        ("before the opening", "after round-finalised"),
        ("training", "an app runs"),
        ("upload", "after contribution"),
        ("share check", "after answer share check"),
        ("reveal", "after answer reveal"),
    ),
    HOSPITAL: (("training", "an app runs"), ("upload", "a frame leaves"), ("reveal", "an answer leaves")),
}


def _of(*parties: str) -> list[Kill]:
    return [Kill(party=one, phase=phase, moment=moment) for one in parties for phase, moment in _OTHERS[one]]


KILLS = (
    *_of(SERVICE),
    *(Kill(party=one, phase=p, moment=m, count=n) for one in (SUPERLINK, SUPERNODE) for p, m, n in _PHASES),
    *(
        Kill(party=RELAY, phase=f"{p}, a minute", moment=m, away_s=60.0)
        for p, m in (("before the opening", "after round-finalised"), ("commit V", "after contribution"))
    ),
    *_of(HOSPITAL, PROGRAM),
)
