"""Aborts a run: stops it on the SuperLink, gives up the round under way, and closes the run on the ledger.

What the contract allows decides what happens to the escrow: closing takes two calls with the run's closing delay between them. What
finalised rounds promised stays claimable; the rest goes back to the sponsor with the second call. Each step can be taken again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import EngineError
from coordinator.launch.accounts import writer_of
from coordinator.launch.drive import found_run
from coordinator.launch.state import LaunchFolder, LaunchState, Step
from coordinator.launch.underway import under_way
from coordinator.store.presence import somebody_at_work
from fl_core.errors import InputError
from ledger.address import OpenLedger, find_ledger, open_ledger
from ledger.errors import ChainBusy
from ledger.records import RoundState, Run, RunState
from ledger.signer import open_signer

POLL_S = 1.0
GONE_S = 120.0
"""How long a ServerApp that was stopped may take to let go of the chain, in seconds; Flower notices within one minute."""
UNDER_WAY = (RoundState.OPEN, RoundState.COMMITTED, RoundState.INCLUDED)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a run stands, and so what aborting it has to do.

    Attributes:
        flower_runs: Flower's runs that are under way.
        away: Why the SuperLink could not be asked; empty where it could.
        run: The run on the ledger; None where it is not there.
        round: The round under way; 0 where there is none.
        now: Time that the next block can have, in Unix seconds.
    """

    flower_runs: tuple[int, ...]
    away: str
    run: Run | None
    round: int
    now: int

    @property
    def closes(self) -> int:
        """How many calls close the run now: two where it is open and needs no delay, none where it is closed or has to wait."""
        run = self.run
        if run is None or run.state is RunState.CLOSED:
            return 0
        if run.state is RunState.STOPPED:
            return 1 if run.escrow else 0
        if run.state is RunState.OPEN:
            return 2 if run.closing_delay == 0 else 1
        return 1 if run.closes_at <= self.now else 0


def standing(state: LaunchState) -> Standing:
    """Look at SuperLink and ledger; changes nothing.

    Raises:
        LedgerError: The ledger does not answer.
    """
    runs: list[int] = []
    away = ""
    try:
        runs = under_way(state)
    except EngineError as error:
        away = error.message
    ledger = open_ledger(find_ledger(Path(state.ledger)))
    try:
        found = found_run(ledger, bytes.fromhex(state.run))
        number = 0 if found is None else _round_under_way(ledger, found)
        now = max(int(time.time()), ledger.reader.head().timestamp + 1)
    finally:
        ledger.close()
    return Standing(flower_runs=tuple(runs), away=away, run=found, round=number, now=now)


def _round_under_way(ledger: OpenLedger, run: Run) -> int:
    if run.opened == 0 or ledger.reader.round(run.id, run.opened).state not in UNDER_WAY:
        return 0
    return run.opened


def abort(folder: LaunchFolder, *, say: Say) -> Run | None:
    """Take every step that is left; return the run as it stands on the ledger then, None where it never came there.

    Raises:
        InputError: The run is being launched, or its ServerApp does not end.
        EngineError: The SuperLink refuses to stop it.
        LedgerError: The ledger refuses, is busy or away: try again.
    """
    with folder.alone():
        state = folder.read()
        seen = standing(state)
        if state.step != Step.ABORTED.value:
            state = folder.reach(state, Step.ABORTED)
        for number in seen.flower_runs:
            _stop(state, number)
            say(f"Flower's run {number} is stopped.")
        ledger = _open_when_free(folder, state)
        try:
            return _close(ledger, state, say)
        finally:
            ledger.close()


def _stop(state: LaunchState, number: int) -> None:
    from coordinator.engines.control import FlowerControl

    control = FlowerControl(Path(state.superlink))
    try:
        control.stop(number)
    except EngineError:
        if number in under_way(state):  # it did not end by itself meanwhile
            raise


def _open_when_free(folder: LaunchFolder, state: LaunchState) -> OpenLedger:
    """Open the ledger for writing as soon as the ServerApp has ended."""
    end = time.monotonic() + GONE_S
    while True:
        why = "a program works on it"
        if not somebody_at_work(folder.path / "coordinator"):
            try:
                return open_ledger(find_ledger(Path(state.ledger)), write=True)
            except ChainBusy as error:
                why = error.message
        if time.monotonic() >= end:
            raise InputError(
                f"The run was stopped, but is not at rest after {GONE_S:g} s ({why}).",
                fix="End that process, then abort again.",
            )
        time.sleep(POLL_S)


def _close(ledger: OpenLedger, state: LaunchState, say: Say) -> Run | None:
    run = bytes.fromhex(state.run)
    coordinator, sponsor = open_signer(state.coordinator), open_signer(state.researcher)
    writer_of(ledger, state.researcher, sponsor).close()  # sends what a crash left
    found = found_run(ledger, run)
    if found is None:
        return None
    if number := _round_under_way(ledger, found):
        writer = writer_of(ledger, state.coordinator, coordinator)
        try:
            writer.abort_round(run, number, intent=writer.usable(f"{state.run}/{number}/abort"))
        finally:
            writer.close()
        say(f"Round {number} is given up.")
    writer = writer_of(ledger, state.researcher, sponsor)
    try:
        while _closes(ledger, found):
            writer.close_run(run, intent=writer.usable(f"{state.run}/close/{found.state.name}"))
            before, found = found, ledger.reader.run(run)
            if before.state is found.state and before.escrow == found.escrow:
                break
    finally:
        writer.close()
    return found


def _closes(ledger: OpenLedger, run: Run) -> bool:
    now = max(int(time.time()), ledger.reader.head().timestamp + 1)
    return Standing(flower_runs=(), away="", run=run, round=0, now=now).closes > 0
