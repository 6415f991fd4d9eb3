"""Whether a node's logbook agrees with what its holder signed: for an auditor whom the holder has shown it.

The logbook is the holder's, not public; what the public folder proves about it is made here. Numbered G1 to G4:

1. Every line follows from the lines before it, and from the holder's account.
2. Every contribution of the holder in a finalised round is in the logbook.
3. Its leaf binds the head that its entry names, of entries before it: so these were not written later.
4. Every archived answer of the holder is in the logbook, byte for byte.

An opened weight that is in the logbook and not in the papers is no fault, but told: the holder was not paid for that round. Whether the
answer was lost on its way or withheld, nobody can tell from both.

What stays unproven: entries after the newest anchor can be cut off unseen, rounds that made no model are not in the folder,
and nobody can show that something left which neither logbook nor folder has. The audit's checks 2, 4, 5 and 6 are made first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fl_core.errors import InputError, SutureError, VerificationError
from fl_core.protocol.anchor import verify_anchor
from ledger.audit.checks.table import LEAVES, LEDGER, ROUNDS, TERMS
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Fault, Findings
from ledger.audit.papers import open_folder
from ledger.audit.verify import perform
from ledger.logbook import Entry, Kind, Reading, first_head


@dataclass(frozen=True, slots=True, kw_only=True)
class LogbookReport:
    """The result.

    Attributes:
        holder: Account whose logbook it is; empty where nobody's.
        name: What ``run.json`` calls it.
        entries: How many entries it has.
        head: Head of all of them.
        anchors: Round -> number of entries that the holder's signature of that round covers.
        weights_lost: Rounds for which the logbook has an opened weight that is not in the papers.
        torn: How many bytes follow the last whole line, as a crash leaves them; they are no entry.
        faults: What is wrong.
    """

    holder: bytes
    name: str
    entries: int
    head: bytes
    anchors: dict[int, int]
    weights_lost: tuple[int, ...] = ()
    torn: int = 0
    faults: tuple[Fault, ...]


def verify_logbook(logbook: Path, folder: Path, holder: bytes | None = None) -> LogbookReport:
    """Check a logbook against the public folder that ``folder`` is or contains; faults are in the report.

    Args:
        logbook: The logbook's file.
        folder: The folder.
        holder: Account of the holder; by default the one whom the logbook's first line belongs to.

    Raises:
        InputError: A file cannot be read at all, or the logbook is of nobody in the folder.
    """
    with Evidence(open_folder(folder)) as evidence:
        outcomes = perform(evidence, (LEDGER, TERMS, ROUNDS, LEAVES))
        if faults := tuple(fault for outcome in outcomes for fault in outcome.faults):
            return LogbookReport(holder=b"", name="", entries=0, head=b"", anchors={}, faults=faults)
        account = _holder(logbook, evidence) if holder is None else holder
        findings = Findings(lambda done, total: None)
        reading = Reading(logbook, account)
        entries, heads = _read(reading, account, findings)
        anchors = {}
        for number in evidence.chronicle.finalised:
            if account in evidence.round(number).leaves:
                with findings.at(logbook.name, number=number, holder=account):
                    anchors[number] = _check_frame(evidence, number, account, entries, heads)
            _check_answers(evidence, findings, number, account, entries, logbook.name)
        return LogbookReport(
            holder=account,
            name=evidence.holder(account),
            entries=len(entries),
            head=heads[-1],
            anchors=anchors,
            weights_lost=tuple(
                number for number in evidence.chronicle.finalised if _lost(evidence, number, account, entries)
            ),
            torn=reading.torn,
            faults=tuple(findings.faults),
        )


def _holder(logbook: Path, evidence: Evidence) -> bytes:
    """Return the account that a logbook's first line begins from."""
    for account in evidence.run.transport_keys:
        try:
            if next(iter(Reading(logbook, account)), None) is not None:
                return account
        except VerificationError:
            continue
    raise InputError(
        f"{logbook} is empty or of no holder in that folder.", fix="Name the holder's account with --holder."
    )


def _read(reading: Reading, account: bytes, findings: Findings) -> tuple[list[Entry], list[bytes]]:
    """(G1) Return the entries up to the first fault, and the heads of the first 0, 1, 2, ... of them."""
    entries, heads = [], [first_head(account)]
    with findings.at(reading.path.name, holder=account):
        for entry, state in reading:
            entries.append(entry)
            heads.append(state.head)
    return entries, heads


def _check_frame(
    evidence: Evidence, number: int, account: bytes, entries: list[Entry], heads: list[bytes]
) -> int:
    """(G2), (G3); returns how many entries the leaf binds."""
    place = (Kind.FRAME.value, evidence.run.run.hex(), number)
    sent = [entry for entry in entries if (entry.kind, entry.run, entry.round) == place]
    if not sent:
        raise VerificationError(f"the contribution to round {number} is not in the logbook")
    metrics = evidence.leaf(number, account).statement.metrics
    for entry in sent:
        if entry.anchor >= entry.n:
            raise VerificationError(f"entry {entry.n} names a head of entries that come after it")
        try:
            verify_anchor(metrics, bytes.fromhex(entry.hidden), heads[entry.anchor])
        except SutureError as error:
            raise VerificationError(
                f"the signed contribution to round {number} binds another head than that of the first "
                f"{entry.anchor} entries: one of them was altered, removed, added or moved"
            ) from error
    return sent[0].anchor


def _check_answers(
    evidence: Evidence, findings: Findings, number: int, account: bytes, entries: Iterable[Entry], name: str
) -> None:
    """(G4)."""
    paper = evidence.round(number)
    known = {(entry.kind, entry.digest) for entry in entries}
    for kind, answers in (
        (Kind.CHECK, paper.checks),
        (Kind.REVEAL, paper.reveals),
        (Kind.BLAME, paper.blames),
        (Kind.WEIGHT, paper.weights),
    ):
        if account in answers:
            findings.expect(
                (kind.value, answers[account].hex()) in known,
                name,
                f"the archived answer ({kind.value}) of round {number} is not in the logbook",
                number=number,
                holder=account,
            )


def _lost(evidence: Evidence, number: int, account: bytes, entries: Iterable[Entry]) -> bool:
    """Return whether a weight that the logbook has is missing in the papers of a round that pays by examples."""
    paper, place = evidence.round(number), (Kind.WEIGHT.value, evidence.run.run.hex(), number)
    unpaid = evidence.terms.opens_weights and account in paper.included and account not in paper.weights
    return unpaid and any((entry.kind, entry.run, entry.round) == place for entry in entries)
