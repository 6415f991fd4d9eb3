"""The phases of a round as each role sees it, all transitions in three tables.

========================  ==============================================================================================
:data:`TRANSITIONS`       the coordinator; the contract's round state and the picture in the README follow it
:data:`CLIENT`            a client: what it may still send for a round
:data:`MEMBER`            a committee member: which questions it may still answer
========================  ==============================================================================================

The tables know no I/O. Whoever keeps a phase derives it from what is on disk (``coordinator.rounds``,
``clients.node.register``), so that a process that was killed finds itself where it was.
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


class ClientPhase(Enum):
    """Where a client stands in a round."""

    BEGUN = "begun"  # header checked and accepted: it may train
    CONTRIBUTED = "contributed"  # one frame is stored; only its bytes are ever sent for this round
    OPENED = "opened"  # its weight is open too, under terms that pay by examples; frame and weight are sent again as stored
    OVER = "over"  # the frame is dropped, that it was made stays known: nothing is sent any more


class ClientStep(Enum):
    """What moves a client on."""

    CONTRIBUTE = "contribute"
    OPEN = "open"
    FORGET = "forget"


CLIENT: dict[tuple[ClientPhase, ClientStep], ClientPhase] = {
    (ClientPhase.BEGUN, ClientStep.CONTRIBUTE): ClientPhase.CONTRIBUTED,
    (ClientPhase.BEGUN, ClientStep.FORGET): ClientPhase.OVER,
    (ClientPhase.CONTRIBUTED, ClientStep.OPEN): ClientPhase.OPENED,
    (ClientPhase.CONTRIBUTED, ClientStep.FORGET): ClientPhase.OVER,
    (ClientPhase.OPENED, ClientStep.FORGET): ClientPhase.OVER,
}


class MemberPhase(Enum):
    """Where a committee member stands in a round."""

    SEATED = "seated"  # header accepted
    CHECKED = "checked"  # its values for the accepted set are stored
    REVEALED = "revealed"  # its sum of shares is stored: no values of single shares any more, but for a blame opening
    BLAMED = "blamed"  # its values for a place where the sum failed are stored


class MemberStep(Enum):
    """What moves a member on; each is one question, answered once."""

    CHECK = "share check"
    REVEAL = "reveal"
    BLAME = "blame opening"


MEMBER: dict[tuple[MemberPhase, MemberStep], MemberPhase] = {
    (MemberPhase.SEATED, MemberStep.CHECK): MemberPhase.CHECKED,
    (MemberPhase.SEATED, MemberStep.REVEAL): MemberPhase.REVEALED,  # it was away during the share check
    (MemberPhase.CHECKED, MemberStep.REVEAL): MemberPhase.REVEALED,
    (MemberPhase.SEATED, MemberStep.BLAME): MemberPhase.BLAMED,  # the sum was opened without it
    (MemberPhase.CHECKED, MemberStep.BLAME): MemberPhase.BLAMED,
    (MemberPhase.REVEALED, MemberStep.BLAME): MemberPhase.BLAMED,
}


def advance(phase: Phase, step: Step) -> Phase:
    """Return the coordinator's phase after ``step``.

    Raises:
        LocalProtocolError: The table has no such transition; nothing changes.
    """
    try:
        return TRANSITIONS[phase, step]
    except KeyError:
        raise LocalProtocolError(f"a round that is {phase.value} cannot {step.value}") from None


def advance_client(phase: ClientPhase, step: ClientStep) -> ClientPhase:
    """Return a client's phase after ``step``; raises :class:`LocalProtocolError` like :func:`advance`."""
    try:
        return CLIENT[phase, step]
    except KeyError:
        raise LocalProtocolError(f"a client that has {phase.value} cannot {step.value}") from None


def advance_member(phase: MemberPhase, step: MemberStep) -> MemberPhase:
    """Return a member's phase after ``step``; raises :class:`LocalProtocolError` like :func:`advance`."""
    try:
        return MEMBER[phase, step]
    except KeyError:
        raise LocalProtocolError(f"a member that has {phase.value} does not answer a {step.value}") from None
