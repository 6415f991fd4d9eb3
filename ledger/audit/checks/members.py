"""Check 3: who took part, with which keys, and that they had agreed.

1. Every transport public key that the folder offers is one that its account registered.
2. Everybody who contributed to a finalised round consented to the run's terms before the round was opened, and had not
   withdrawn by then.

Consent is for a run, and the contract takes it only for the run's own terms; so (2) is read from the Consent events.
"""

from __future__ import annotations

from fl_core.errors import SutureError
from fl_core.protocol.setup import transport_key_digest
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.audit.papers import RoundFacts

MAX_TRANSPORT_KEY = 4096  # bytes


def check(evidence: Evidence, findings: Findings) -> str:
    """Check members and consents."""
    chronicle = evidence.chronicle
    for account, key in evidence.run.transport_keys.items():
        path = evidence.object(key)
        with findings.at(path, holder=account):
            digest = transport_key_digest(evidence.archive.get(key, MAX_TRANSPORT_KEY))
            registered = {keys.encryption for keys in chronicle.keys.get(account, ())}
            findings.expect(
                digest in registered, path, "the account registered another transport key", holder=account
            )
    contributors = 0
    for number in chronicle.finalised:
        paper = _paper(evidence, number)
        if paper is not None:
            contributors += len(paper.leaves)
            _check_consents(evidence, findings, paper)
    return f"{len(evidence.run.transport_keys)} keys, {contributors} contributions under consent"


def _paper(evidence: Evidence, number: int) -> RoundFacts | None:
    """Return the paper of a round, or None where it cannot be read: that is for the check of the rounds to say."""
    try:
        return evidence.round(number)
    except SutureError:
        return None


def _check_consents(evidence: Evidence, findings: Findings, paper: RoundFacts) -> None:
    opened = evidence.chronicle.openings[paper.round].block
    for account, leaf in paper.leaves.items():
        findings.expect(
            evidence.chronicle.consent_before(account, opened) is not None,
            evidence.object(leaf),
            f"the holder contributed, but no consent of it held when the round was opened (block {opened})",
            number=paper.round,
            holder=account,
        )
