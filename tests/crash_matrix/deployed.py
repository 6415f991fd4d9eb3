"""Launched runs on the services of production in which one process is killed in one round after the other, and what must hold after.

Every party is the process that people start: ``suture superlink serve`` with TLS and a database, ``suture-node serve`` with gateway and
SuperNode; the run is one that ``suture launch`` made. The committee is asked through Flower, so that SuperLink and SuperNode have a
part in every phase. A service that is killed is started again with its own command, as a supervisor does; where the run ends by the
kill, the researcher's one command is ``suture resume``.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

from coordinator.demo.settlement import settle_rewards
from coordinator.store.events import Event
from fl_core.randomness import SystemRandomSource
from suture_fl.processes import descendants
from tests.crash_matrix.checks import check_audit, check_ledger, check_nodes, check_plaintext
from tests.crash_matrix.deployed_points import ENDS_THE_RUN, Kill
from tests.crash_matrix.eye import Eye
from tests.crash_matrix.killing import kill_and_see_it_back
from tests.crash_matrix.plaintext import may_dump_core, search
from tests.simulators.consortium_of_people import PER_ROUND, UNIT
from tests.simulators.founded_run import now
from tests.simulators.patience import patient
from tests.simulators.researcher_site import TAP, Site, served

LOOK_S, STATUS_EVERY_S = 0.004, 15.0
MOMENT_S, ROUND_S = 900.0, 300.0
SPARE = 2
"""Rounds more than the kills need: few are left to wait for when the last kill is played."""
HOLDS = "holds"
ENDS = ("round-finalised", "round-failed")


@dataclass(kw_only=True)
class Outcome:
    """What came of one kill.

    Attributes:
        kill: Which.
        round: The round that it hit.
        away_s: Seconds until the killed process answered again; 0 where nothing starts it again.
        commands: How many commands the researcher gave.
        end: How the round ended: the one that was hit, or the next one where the run was resumed.
        included: How many contributions its model has.
        seconds: From the kill to the end of the round.
        plaintext: What the search found right after the kill: bytes in files, processes that may dump their core.
        holders: How many holders there are.
    """

    kill: Kill
    round: int = 0
    away_s: float = 0.0
    commands: int = 0
    end: str = ""
    included: int = 0
    seconds: float = 0.0
    plaintext: list[str] = field(default_factory=list)
    holders: int = 0

    @property
    def verdict(self) -> str:
        """``holds``, or what does not: one command at most, only where the run ends, and one contribution lost at most."""
        faults = list(self.plaintext)
        if self.commands != int(self.kill.party in ENDS_THE_RUN):
            faults.append(f"{self.commands} commands")
        if self.end != "round-finalised":
            faults.append(self.end)
        elif self.included < self.holders - 1:
            faults.append(f"{self.included} contributions")
        return "; ".join(faults) or HOLDS

    def as_dict(self) -> dict[str, object]:
        """For the results' file."""
        return {**asdict(self), "verdict": self.verdict}


class DeployedRun:
    """A launched run whose processes are killed.

    Args:
        site: Its services and its researcher.
        patience: By what every deadline is multiplied.
    """

    def __init__(self, site: Site, patience: float = 1.0) -> None:
        self.site, self.federation, self.patience = site, site.federation, patience
        self.tap = site.people.folder / TAP
        self.number = int(str(site.launch()["flower_run"]))
        self.eye = Eye(site.federation)

    def play(self, kill: Kill) -> Outcome:
        """Wait for a new round and the moment in it, kill, and follow the round to its end; what fails is in the outcome."""
        outcome = Outcome(kill=kill, holders=len(self.federation.nodes))
        try:
            self._play(kill, outcome)
        except Exception as error:  # noqa: BLE001 - the other kills are played all the same
            traceback.print_exc()
            outcome.end = f"fails: {error}"
        return outcome

    def _play(self, kill: Kill, outcome: Outcome) -> None:
        holders = outcome.holders
        between = kill.moment == "after round-finalised"
        event = self._next(lambda event: event["event"] in (ENDS if between else ("round-opened",)))
        outcome.round = int(event["round"]) + between
        opened = between or kill.moment == "after round-opened"
        at = outcome.round % holders if opened else self._moment(kill)
        struck = time.monotonic()
        outcome.away_s = kill_and_see_it_back(
            self.federation, kill, at, self.patience, lambda: self._search(outcome)
        )
        if kill.party in ENDS_THE_RUN:
            outcome.commands += 1
            self.resume()
        first = outcome.round + (kill.party in ENDS_THE_RUN and not between)  # the interrupted one is aborted
        end = self._next(lambda event: event["event"] in ENDS and int(event["round"]) >= first, outcome)
        outcome.end = str(end["event"]) + (f": {end['reason']}" if "reason" in end else "")
        outcome.included = int(end.get("included", 0))
        outcome.seconds = round(time.monotonic() - struck, 1)

    def resume(self) -> None:
        """Give the researcher's one command."""
        self.number = int(str(self.site.told("resume", self.site.people.run)["flower_run"]))

    def _search(self, outcome: Outcome) -> None:
        """Search everything while the killed process has had no time to tidy up."""
        processes = descendants(process.pid for process in self.federation.running.values())
        place = self.site.people.folder
        outcome.plaintext = search(self.tap, self.federation.nodes, [place], processes)
        outcome.plaintext += may_dump_core(processes)

    def _next(self, wanted: Callable[[Event], bool], outcome: Outcome | None = None) -> Event:
        """Wait for an event; a run that ended meanwhile is resumed, which counts unless its rounds were used up."""
        end, asked = time.monotonic() + patient(MOMENT_S * self.patience), time.monotonic()
        while (event := self.eye.first(wanted)) is None:
            if time.monotonic() - asked > STATUS_EVERY_S:
                status, asked = self.federation.status(self.number), time.monotonic()
                if status.startswith("finished"):
                    if outcome is not None and status != "finished:completed":
                        outcome.commands += 1
                    self.resume()
            assert time.monotonic() < end, f"it never came: {self._told()}"
            time.sleep(LOOK_S)
        return event

    def _moment(self, kill: Kill) -> int:
        look, end = self.eye.sees(kill), time.monotonic() + patient(ROUND_S * self.patience)
        while (at := look(self.eye.events())) is None:
            assert time.monotonic() < end, f"{kill.name} never came: {self._told()}"
            time.sleep(LOOK_S)
        return at

    def _told(self) -> str:
        return self.federation.server_log(self.number)[-3000:]

    def finish(self, *, early: bool) -> int:
        """Let the run come to its end, settle and fetch it, end the services, check everything; return how many models there are.

        Args:
            early: Whether its other rounds are given up, by ``suture abort``.
        """
        people = self.site.people
        if early:
            self.site.told("abort", people.run, "--yes")
        else:
            status = self.federation.ended(self.number)
            assert status == "finished:completed", self._told()
        settle_rewards(people.run, clock=now, random=SystemRandomSource())
        self.site.told("fetch", people.run, "model")
        self.federation.stop()
        models = check_ledger(people.run, fewest=1, per_round=PER_ROUND * UNIT)
        check_nodes(self.federation.nodes, opens_weights=False)
        check_plaintext(people.folder, self.tap, self.federation.nodes)
        check_audit(people.folder / "model", self.federation.nodes)
        return models


def rounds_for(kills: Sequence[Kill]) -> int:
    """Return how many rounds a run needs for ``kills``: one each, and one more to wait for the end of, where that is the moment."""
    return len(kills) + sum(kill.moment == "after round-finalised" for kill in kills) + SPARE


def play_deployed(
    kills: Sequence[Kill],
    patience: float = 1.0,
    *,
    until: float = math.inf,
    told: Callable[[Outcome], None] = lambda outcome: None,
) -> tuple[list[Outcome], int]:
    """Play kills on services that are started for them, each in a round of its own, and check everything.

    Args:
        kills: What to play.
        patience: By what every deadline is multiplied, for a slow or busy machine.
        until: Unix time after which no further kill is begun, and the run is aborted.
        told: Called with each outcome as it comes.

    Returns:
        What came of each, and the number of models.
    """
    outcomes = []
    with served(rounds=rounds_for(kills), relay=False, patience=patience, tapped=True) as site:
        run = DeployedRun(site, patience)
        for kill in kills:
            if time.time() > until:
                break
            outcomes.append(run.play(kill))
            told(outcomes[-1])
        return outcomes, run.finish(early=len(outcomes) < len(kills))
