"""What the node reads from the ledger before it acts, gathered for the core's checks.

Everything is read at the final head; a record that is not there yet becomes a clear refusal, so that a node that is ahead of
its ledger waits instead of guessing.
"""

from __future__ import annotations

from fl_core.errors import VerificationError
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.header_check import LedgerView, MemberView
from fl_core.protocol.member import Committed
from fl_core.protocol.share_check import AcceptedOnLedger
from ledger.reader import LedgerReader
from ledger.records import EMPTY_WORD, Role, RoundState


def ledger_view(reader: LedgerReader, header: RoundHeader) -> LedgerView:
    """Read what the ledger says about ``header``'s round.

    Raises:
        VerificationError: The round is not open on the ledger, or its beacon lies in the future.
    """
    run, record = reader.origin(header.run), reader.round(header.run, header.round)
    if record.state is not RoundState.OPEN:
        raise VerificationError(f"round {header.round} is not open on the ledger", party="coordinator")
    if header.beacon_number >= reader.head().number:
        raise VerificationError("the beacon is not older than the ledger's head", party="coordinator")
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


def accepted_set(reader: LedgerReader, header: RoundHeader) -> AcceptedOnLedger:
    """Read the accepted set that the ledger committed for ``header``'s round, before its included set is.

    Raises:
        VerificationError: The accepted set is not on the ledger, or the share check of this round is over.
    """
    record = reader.round(header.run, header.round)
    if record.state is not RoundState.COMMITTED:
        raise VerificationError(
            f"round {header.round} has no accepted set on the ledger, or its share check is over",
            party="coordinator",
        )
    if record.header != header.digest:
        raise VerificationError("the ledger recorded another header for this round", party="coordinator")
    return AcceptedOnLedger(root=record.root, count=record.count, signers=signers_of(reader, header))


def committed_sets(reader: LedgerReader, header: RoundHeader) -> Committed:
    """Read the sets that the ledger committed for ``header``'s round.

    Raises:
        VerificationError: The included set is not on the ledger, or the round is over.
    """
    record = reader.round(header.run, header.round)
    if record.state is not RoundState.INCLUDED:
        raise VerificationError(
            f"round {header.round} has no included set on the ledger or is over", party="coordinator"
        )
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
