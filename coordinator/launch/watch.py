"""Follows a launched run until it ends: consents, what the SuperLink says of it, and the coordinator's events. Only reads.

Beside the coordinator's events (:mod:`coordinator.store.events`) there are six of this module's own::

    {"event": "consents", "accepted": 3, "wanted": 4}
    {"event": "launch-stopped", "step": "created"}                   when no command goes on with it
    {"event": "ledger-unanswered", "reason": "..."}                  when it begins not to answer
    {"event": "superlink", "run": "1234", "status": "running"}       whenever it changes
    {"event": "superlink-away", "reason": "..."}                     when it begins not to answer
    {"event": "ended", "status": "finished:completed", "finalised": 2, "rounds": 2}
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from coordinator.errors import EngineError
from coordinator.launch.drive import found_run
from coordinator.launch.state import LaunchFolder, LaunchState, Step
from coordinator.launch.underway import FINISHED, newest
from coordinator.store.events import Event, EventTail
from ledger.address import find_ledger, open_ledger
from ledger.errors import ChainUnreachable
from ledger.records import Run

POLL_S, LEDGER_S, SUPERLINK_S = 0.25, 2.0, 10.0
"""Seconds between two looks at the event file, at the ledger before the start, and at the SuperLink, which costs a process."""
SOON_S = 1.0
"""The same for a SuperLink, when an event says that the run is over."""
STOPPED_LOOKS = 3
"""So many looks find no command at work on a launch that has not got to the SuperLink before that is told: it may just begin."""
OVER = ("run-finished", "run-failed")
LAUNCH, SUPERLINK = "launch", "SuperLink"
"""What is looked at, each at its own times."""
UNKNOWN = "unknown"
"""Status of a run that the SuperLink has forgotten, for instance because it lost its database; or never got, then without a number."""


def on_ledger(state: LaunchState) -> Run | None:
    """Return the run as the ledger has it; None where it is not there.

    Raises:
        LedgerError: The ledger does not answer.
    """
    ledger = open_ledger(find_ledger(Path(state.ledger)))
    try:
        return found_run(ledger, bytes.fromhex(state.run))
    finally:
        ledger.close()


class Watch:
    """One look after the other at a run.

    Args:
        folder: The run's folder.
        clock: Returns seconds that never go back.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        folder: LaunchFolder,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._clock, self._sleep = folder, clock, sleep
        self._tail = EventTail(folder.path / "coordinator" / "events.jsonl")
        self._accepted = -1
        self._status = ("", "")
        self._away = self._unheard = False
        self._idle = 0
        self._next = {LAUNCH: 0.0, SUPERLINK: 0.0}
        self._over = False

    def events(self) -> Iterator[Event]:
        """Yield what happens, from the run's beginning, and end with ``ended``.

        Raises:
            InputError: The folder holds no launched run.
            LedgerError: The ledger is another one, or damaged; one that does not answer is asked again.
        """
        while True:
            yield from self._coordinators()
            state = self._folder.read()
            if state.step == Step.ABORTED.value:
                yield from self._ended(state, Step.ABORTED.value)
                return
            submitted = state.step == Step.SUBMITTED.value
            if not submitted:
                yield from self._launching(state)
            if submitted or (state.step == Step.SUBMITTING.value and self._stopped()):
                yield from self._superlinks(state)
                if self._status[1].startswith(FINISHED):
                    yield from self._coordinators()  # what was written while the SuperLink was asked
                    yield from self._ended(state, self._status[1])
                    return
            self._sleep(POLL_S)

    def _coordinators(self) -> Iterator[Event]:
        for event in self._tail.new():
            if event["event"] in OVER:
                self._next[SUPERLINK], self._over = 0.0, True
            elif event["event"] in ("enrolled", "round-opened"):
                self._over = False  # a run that was resumed
            yield event

    def _due(self, what: str, pause: float) -> bool:
        if self._clock() < self._next[what]:
            return False
        self._next[what] = self._clock() + pause
        return True

    def _stopped(self) -> bool:
        """Whether no command goes on with the launch; one that died while it submitted may have got to the SuperLink, which knows."""
        return self._idle >= STOPPED_LOOKS

    def _launching(self, state: LaunchState) -> Iterator[Event]:
        """Yield how a launch comes on that the SuperLink does not have yet."""
        if not self._due(LAUNCH, LEDGER_S):
            return
        self._idle = 0 if self._folder.busy() else self._idle + 1
        if self._idle == STOPPED_LOOKS and state.step != Step.SUBMITTING.value:
            yield {"event": "launch-stopped", "step": state.step}
        if state.step in (Step.PREPARED.value, Step.CREATED.value):
            yield from self._consents(state)

    def _consents(self, state: LaunchState) -> Iterator[Event]:
        try:
            run = on_ledger(state)
        except ChainUnreachable as error:
            yield from self._unanswered(error)
            return
        self._unheard = False
        if run is not None and run.accepted != self._accepted:
            self._accepted = run.accepted
            yield {"event": "consents", "accepted": run.accepted, "wanted": state.consents}

    def _superlinks(self, state: LaunchState) -> Iterator[Event]:
        if not self._due(SUPERLINK, SOON_S if self._over else SUPERLINK_S):
            return
        try:
            found = newest(state)
        except EngineError as error:
            if not self._away:
                yield {"event": "superlink-away", "reason": error.message}
            self._away = True
            return
        self._away = False
        status = (str(found[0]), found[1]) if found is not None else (yield from self._forgotten(state))
        if status != self._status:
            self._status, self._over = status, self._over and status[1] != UNKNOWN
            yield {"event": "superlink", "run": status[0], "status": status[1]}

    def _forgotten(self, state: LaunchState) -> Generator[Event, None, tuple[str, str]]:
        """Return what there is to say of a run that the SuperLink does not know; with a model of every round it is over."""
        try:
            run = on_ledger(state)
        except ChainUnreachable as error:
            yield from self._unanswered(error)
            return self._status
        self._unheard = False
        over = run is not None and run.finalised == run.max_rounds
        return state.flower_run, f"{FINISHED}:{UNKNOWN}" if over else UNKNOWN

    def _unanswered(self, error: ChainUnreachable) -> Iterator[Event]:
        if not self._unheard:
            yield {"event": "ledger-unanswered", "reason": error.message}
        self._unheard = True

    def _ended(self, state: LaunchState, status: str) -> Iterator[Event]:
        """Yield the end as the ledger has it; one that does not answer is asked again."""
        while True:
            try:
                run = on_ledger(state)
                break
            except ChainUnreachable as error:
                yield from self._unanswered(error)
            self._sleep(LEDGER_S)
        done, rounds = (0, 0) if run is None else (run.finalised, run.max_rounds)
        yield {"event": "ended", "status": status, "finalised": done, "rounds": rounds}
