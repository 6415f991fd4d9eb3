"""Check 6: whose contributions were accepted and summed.

For every finalised round:

1. Every leaf speaks of this run, round, header, parent model and of the account that it is filed under, which is in the
   cohort; and of the data set with which that account consented, if the consent names one.
2. It is signed with the key that the account had registered when the round was opened.
3. The leaves make the root and the number of V on the ledger.
4. The included set lies within V and makes the root and the number of U on the ledger; it is as large as the header asks.
5. The document of exclusions has the digest on the ledger, and gives a reason for everybody in V who is not in U.
"""

from __future__ import annotations

from fl_core.errors import DecodeError
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.records import EMPTY_WORD

Pairs = dict[bytes, bytes]
"""Account -> digest of its contribution."""


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the sets of all finalised rounds."""
    total = 0
    for number in evidence.chronicle.finalised:
        total += len(check_round(evidence, findings, number))
    return f"{total} signed leaves"


def check_round(evidence: Evidence, findings: Findings, number: int) -> Pairs:
    """Check the sets of one round and return V."""
    paper, record = evidence.round(number), evidence.chronicle.finalised[number]
    paper_name = evidence.name(evidence.public.round(number))
    before = len(findings.faults)
    pairs = {}
    for account, leaf in paper.leaves.items():
        with findings.at(evidence.object(leaf), number=number, holder=account):
            pairs[account] = _check_leaf(evidence, number, account)
    if len(findings.faults) == before:  # a set with a bad leaf has another root anyway
        with findings.at(paper_name, number=number):
            root = evidence.statements.root(list(pairs.items()))
            found = (root, len(pairs))
            expected = (record.root, record.count)
            findings.expect(
                found == expected, paper_name, "not the accepted set on the ledger", number=number
            )
            _check_included(evidence, findings, number, pairs)
    path = evidence.object(paper.exclusions)
    with findings.at(path, number=number):
        _check_exclusions(evidence, number)
    return pairs


def _check_leaf(evidence: Evidence, number: int, account: bytes) -> bytes:
    """(1) and (2)."""
    leaf, header = evidence.leaf(number, account), evidence.header(number)
    statement = leaf.statement
    ours = (header.run, header.round, header.digest, header.parent)
    if (statement.run, statement.round, statement.header, statement.parent) != ours:
        raise DecodeError("the leaf is of another run, round, header or model")
    if statement.member != account or account not in header.cohort:
        raise DecodeError("the leaf is not of this account, or the account is not in the cohort")
    consent = evidence.chronicle.consent_before(account, evidence.chronicle.openings[number].block)
    pledged = EMPTY_WORD if consent is None else consent.dataset  # whether there is a consent: check 3
    if pledged not in (EMPTY_WORD, statement.dataset):
        raise DecodeError("the leaf names another data set than the holder's consent")
    evidence.statements.verify(statement, leaf.signature, evidence.chronicle.signer_at(account, number))
    return evidence.statements.digest(statement)


def _check_included(evidence: Evidence, findings: Findings, number: int, pairs: Pairs) -> None:
    """(4)."""
    paper, record = evidence.round(number), evidence.chronicle.finalised[number]
    if list(paper.included) != sorted(set(paper.included)) or not set(paper.included) <= pairs.keys():
        raise DecodeError("the included set is not an ascending part of the accepted set")
    if tuple(paper.ciphertexts) != tuple(paper.leaves):
        raise DecodeError("there is not one ciphertext for every accepted account")
    root = evidence.statements.root([(account, pairs[account]) for account in paper.included])
    if (root, len(paper.included)) != (record.included, record.included_count):
        raise DecodeError("not the included set on the ledger")
    if len(paper.included) < evidence.header(number).n_min:
        raise DecodeError("the included set is smaller than the header allows")


def _check_exclusions(evidence: Evidence, number: int) -> None:
    """(5)."""
    paper, record = evidence.round(number), evidence.chronicle.finalised[number]
    exclusions = evidence.exclusions(number)
    if exclusions.digest != record.exclusions:
        raise DecodeError("the ledger has the digest of other exclusions")
    if set(exclusions.clients) != paper.leaves.keys() - set(paper.included):
        raise DecodeError("the exclusions do not give a reason for everybody who was left out")
