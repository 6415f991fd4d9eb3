"""Check 5: every finalised round has its papers, and its header is right.

1. There is a paper for each round that the ledger finalised, and for no other.
2. The archived header is of this run and round.
3. Its digest is the one on the ledger, and it passes the checks that every holder makes before it trains
   (:mod:`fl_core.protocol.header_check`), on the ledger as it was when the round was opened; but for the deadline, since
   blocks say nothing about when holders acted.
4. The beacon's block is older than the round.
5. The first finalised round uses the clips of the terms. (Clips of later rounds follow from aggregates: check 9.)
6. Each seat's archived prekey is the one that the header names, signed with its member's key of that time
   (:func:`fl_core.protocol.prekeys.check_seats`).
"""

from __future__ import annotations

from fl_core.errors import DecodeError
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.header_check import LedgerView, MemberView, check_header
from fl_core.protocol.prekeys import MAX_PREKEY, SignedPrekey, check_seats
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.audit.papers import round_files
from ledger.records import EMPTY_WORD


def check(evidence: Evidence, findings: Findings) -> str:
    """Check papers and headers of all finalised rounds."""
    chronicle, public = evidence.chronicle, evidence.public
    numbers, strays = round_files(public)
    for stray in strays:
        findings.add(evidence.name(public.rounds / stray), "it is not the paper of a round")
    for number in sorted(set(numbers) - chronicle.finalised.keys()):
        path = evidence.name(public.round(number))
        findings.add(path, f"the ledger has not finalised a round {number}", number=number)
    for done, number in enumerate(chronicle.finalised):
        findings.progress(done, len(chronicle.finalised))
        with findings.at(evidence.name(public.round(number)), number=number):
            paper = evidence.round(number)  # (1)
            with findings.at(evidence.object(paper.header), number=number):
                _check(evidence, findings, number)
    aborted = len(chronicle.openings) - len(chronicle.finalised)
    return f"{len(chronicle.finalised)} finalised, {aborted} not"


def _check(evidence: Evidence, findings: Findings, number: int) -> None:
    header, opening = evidence.header(number), evidence.chronicle.openings[number]
    path = evidence.object(evidence.round(number).header)
    same = (header.run, header.round) == (evidence.run.run, number)
    findings.expect(same, path, "the header is of another run or round", number=number)  # (2)
    if header.beacon_number >= opening.block:
        raise DecodeError("the beacon is not older than the round")  # (4)
    view = _view(evidence, header, number)
    check_header(
        header,
        view=view,
        terms=evidence.terms,
        model=view.artifact,
        me=header.cohort[0],
        now=header.deadline,
    )  # (3)
    _check_seats(evidence, header, number)
    if evidence.chronicle.previous(number) is None:
        clips = {block.clip for block in header.blocks}
        initial = {evidence.terms.initial_clip}
        findings.expect(
            clips == initial, path, "the first clips are not those of the terms", number=number
        )  # (5)


def _check_seats(evidence: Evidence, header: RoundHeader, number: int) -> None:
    """(6)."""
    archived = evidence.round(number).prekeys
    seats = tuple(seat.address for seat in header.committee)
    if tuple(sorted(archived)) != seats:
        raise DecodeError("there is not one prekey for every seat")
    prekeys = [SignedPrekey.decode(evidence.archive.get(archived[seat], MAX_PREKEY)) for seat in seats]
    signers = {seat: evidence.chronicle.signer_at(seat, number) for seat in seats}
    check_seats(header, prekeys, signers=signers, notary=evidence.statements)


def _view(evidence: Evidence, header: RoundHeader, number: int) -> LedgerView:
    """Return what the ledger said when the round was opened."""
    chronicle = evidence.chronicle
    opening = chronicle.openings[number]
    members = {}
    for account in {*header.cohort, *(seat.address for seat in header.committee)}:
        keys = chronicle.keys_before(account, opening.block)
        if keys is not None and chronicle.membership_before(account, opening.block):
            consent = chronicle.consent_before(account, opening.block)
            members[account] = MemberView(
                registered_at=keys.block,
                consented=EMPTY_WORD if consent is None else chronicle.run.terms,
            )
    return LedgerView(
        chain_id=evidence.reader.chain_id,
        contract=evidence.reader.address,
        header=opening.header,
        parent=opening.parent,
        artifact=chronicle.models[opening.parent].artifact,
        terms=chronicle.run.terms,
        beacon=evidence.reader.block_hash(header.beacon_number),
        members=members,
    )
