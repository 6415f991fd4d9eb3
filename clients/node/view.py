"""What the node reads from the ledger before it acts, gathered for the core's checks.

Everything is read at the final head; a record that is not there yet becomes a clear refusal (:class:`NotThereYet`), so that a node
that is ahead of its ledger waits instead of guessing: for ``patience_s`` seconds, see :func:`caught_up`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from clients.errors import PolicyRefusal
from fl_core.errors import VerificationError
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.header_check import LedgerView, MemberView
from fl_core.protocol.member import Committed
from fl_core.protocol.share_check import AcceptedOnLedger
from ledger.reader import LedgerReader
from ledger.records import EMPTY_WORD, Role, RoundState

LOOK_S = 0.25
"""Pause between two looks at a ledger that may be behind, in seconds."""
T = TypeVar("T")


class NotThereYet(VerificationError):
    """The ledger does not have yet what the coordinator speaks of: it lies, or the source that this node reads is behind."""


def caught_up(
    read: Callable[[], T],
    patience_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Read from the ledger; where its source may be behind the coordinator's, read again until what is asked for is there.

    Args:
        read: Reads, and raises :class:`NotThereYet`.
        patience_s: For how long it is read again, in seconds; 0 reads once.
        clock: Seconds that never run backwards.
        sleep: Called with the seconds until the next look.

    Raises:
        NotThereYet: It did not come in time.
    """
    end = clock() + patience_s
    while True:
        try:
            return read()
        except NotThereYet:
            if clock() >= end:
                raise
        sleep(LOOK_S)


def ledger_view(reader: LedgerReader, header: RoundHeader, patience_s: float = 0.0) -> LedgerView:
    """Read what the ledger says about ``header``'s round.

    Raises:
        NotThereYet: The round is not on the ledger, or its beacon lies in the future.
        VerificationError: The round is over, or its contributions are committed.
    """
    return caught_up(lambda: _ledger_view(reader, header), patience_s)


def _ledger_view(reader: LedgerReader, header: RoundHeader) -> LedgerView:
    run, record = reader.origin(header.run), reader.round(header.run, header.round)
    if record.state is not RoundState.OPEN:
        what = NotThereYet if record.state is RoundState.NONE else VerificationError
        raise what(f"round {header.round} is not open on the ledger", party="coordinator")
    if header.beacon_number >= reader.head().number:
        raise NotThereYet("the beacon is not older than the ledger's head", party="coordinator")
    accounts = sorted({*header.cohort, *(seat.address for seat in header.committee)})
    members = {}
    for account in accounts:
        keys, member = reader.keys(account), reader.member(account)
        if member.since and keys.epoch:
            holder = Role.HOLDER in member.roles
            members[account] = MemberView(
                registered_at=keys.block,
                consented=reader.consent(header.run, account) if holder else EMPTY_WORD,
            )
    return LedgerView(
        chain_id=reader.chain_id,
        contract=reader.address,
        header=record.header,
        parent=record.parent,
        artifact=reader.model(record.parent).artifact,
        terms=run.terms,
        beacon=reader.block_hash(header.beacon_number),
        members=members,
    )


def check_pledge(reader: LedgerReader, run: bytes, account: bytes, commitment: bytes) -> None:
    """Check that the data set at hand is the one that its holder pledged for a run when it consented.

    A run without a privacy budget may have no pledge; its budget of zero is nobody's.

    Raises:
        PolicyRefusal: It is another one: its budget would be spent under the other's name.
    """
    pledged = reader.pledge(run, account).dataset
    if pledged not in (EMPTY_WORD, commitment):
        raise PolicyRefusal(
            f"the data set here has the commitment {commitment.hex()[:16]}, pledged for this run was {pledged.hex()[:16]}:"
            " bring that one back, or withdraw the consent and give it again with this one"
        )


def accepted_set(reader: LedgerReader, header: RoundHeader, patience_s: float = 0.0) -> AcceptedOnLedger:
    """Read the accepted set that the ledger committed for ``header``'s round, before its included set is.

    Raises:
        NotThereYet: The accepted set is not on the ledger.
        VerificationError: The share check of this round is over, or the round has another header there.
    """
    return caught_up(lambda: _accepted_set(reader, header), patience_s)


def _accepted_set(reader: LedgerReader, header: RoundHeader) -> AcceptedOnLedger:
    record = reader.round(header.run, header.round)
    if record.state is not RoundState.COMMITTED:
        what = NotThereYet if record.state in (RoundState.NONE, RoundState.OPEN) else VerificationError
        raise what(
            f"round {header.round} has no accepted set on the ledger, or its share check is over",
            party="coordinator",
        )
    if record.header != header.digest:
        raise VerificationError("the ledger recorded another header for this round", party="coordinator")
    return AcceptedOnLedger(root=record.root, count=record.count, signers=signers_of(reader, header))


def committed_sets(reader: LedgerReader, header: RoundHeader, patience_s: float = 0.0) -> Committed:
    """Read the sets that the ledger committed for ``header``'s round.

    Raises:
        NotThereYet: The included set is not on the ledger.
        VerificationError: The round is over, or has another header there.
    """
    return caught_up(lambda: _committed_sets(reader, header), patience_s)


def _committed_sets(reader: LedgerReader, header: RoundHeader) -> Committed:
    record = reader.round(header.run, header.round)
    if record.state is not RoundState.INCLUDED:
        before = (RoundState.NONE, RoundState.OPEN, RoundState.COMMITTED)
        what = NotThereYet if record.state in before else VerificationError
        raise what(f"round {header.round} has no included set on the ledger or is over", party="coordinator")
    if record.header != header.digest:
        raise VerificationError("the ledger recorded another header for this round", party="coordinator")
    return Committed(
        accepted_root=record.root,
        accepted_count=record.count,
        included_root=record.included,
        included_count=record.included_count,
        signers=signers_of(reader, header),
    )


def signers_of(reader: LedgerReader, header: RoundHeader) -> dict[bytes, bytes]:
    """Return the signing key of every client of the cohort, as registered before the round's beacon."""
    return {client: signer_at(reader, client, header.beacon_number) for client in header.cohort}


def signer_at(reader: LedgerReader, account: bytes, beacon: int) -> bytes:
    """Return the signing key of ``account`` before the round's beacon.

    Keys that are registered later do not count: else one member could void a round under way by changing its key.
    """
    keys = reader.keys(account)
    while keys.epoch > 1 and keys.block >= beacon:
        keys = reader.keys_at(account, keys.epoch - 1)
    return keys.signer
