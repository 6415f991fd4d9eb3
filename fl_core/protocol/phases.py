"""The phases of a round, all transitions in one table.

The coordinator's store, the contract's round state and the picture in the README follow this table. It does not know who
performs a step; ``coordinator.rounds`` does.
"""

from __future__ import annotations

from enum import Enum

from fl_core.errors import LocalProtocolError


class Phase(Enum):
    """Where a round stands."""

    OPEN = "open"  # header on the ledger, contributions arrive
    COMMITTED = "committed"  # root of the accepted set V on the ledger
    CHECKED = "checked"  # enough members answered the share check: who is left out follows from their values
    INCLUDED = "included"  # root of the included set U on the ledger; members may answer
    REVEALED = "revealed"  # enough answers: the aggregate key exists, no other set may ever be opened
    FINALISED = "finalised"  # new model on the ledger
    ABORTED = "aborted"  # over without a model


class Step(Enum):
    """What moves a round on."""

    COMMIT = "commit"
    CHECK = "check"
    INCLUDE = "include"
    REVEAL = "reveal"
    FINALISE = "finalise"
    ABORT = "abort"


TRANSITIONS: dict[tuple[Phase, Step], Phase] = {
    (Phase.OPEN, Step.COMMIT): Phase.COMMITTED,
    (Phase.OPEN, Step.ABORT): Phase.ABORTED,
    (Phase.COMMITTED, Step.CHECK): Phase.CHECKED,
    (Phase.COMMITTED, Step.ABORT): Phase.ABORTED,
    (Phase.CHECKED, Step.INCLUDE): Phase.INCLUDED,
    (Phase.CHECKED, Step.ABORT): Phase.ABORTED,
    (Phase.INCLUDED, Step.REVEAL): Phase.REVEALED,
    (Phase.INCLUDED, Step.ABORT): Phase.ABORTED,
    (Phase.REVEALED, Step.FINALISE): Phase.FINALISED,
    (Phase.REVEALED, Step.ABORT): Phase.ABORTED,
}


def advance(phase: Phase, step: Step) -> Phase:
    """Return the phase after ``step``.

    Raises:
        LocalProtocolError: The table has no such transition; nothing changes.
    """
    try:
        return TRANSITIONS[phase, step]
    except KeyError:
        raise LocalProtocolError(f"a round that is {phase.value} cannot {step.value}") from None
