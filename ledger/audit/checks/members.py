"""Check 3: who sealed the folder, who took part, with which keys, and that they had agreed.

1. The seal is of this run and signed with the coordinator's registered key. (What it lists, check 1 has compared.)
2. Every transport public key that the folder offers is one that its account registered.
3. The folder offers one for every member of a committee of a finalised round. (The prekeys that seats name: check 5.)
4. Everybody who contributed to a finalised round was a holder, and had consented to the run's terms since its last
   admission, before the round was opened; and had not withdrawn by then.

Consent is for a run, and the contract takes it only for the run's own terms; so (4) is read from the Consent events.
"""

from __future__ import annotations

from fl_core.errors import SutureError
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.setup import transport_key_digest
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.audit.papers import RoundFacts
from ledger.seal import check_seal

MAX_TRANSPORT_KEY = 4096  # bytes
Offered = set[bytes]
"""Accounts whose registered transport key the folder has."""


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the seal's signature, members and consents."""
    with findings.at(evidence.public.seal.name):
        domain, signer = evidence.reader.domain(), evidence.chronicle.coordinator_signer()
        check_seal(evidence.seal, run=evidence.run.run, domain=domain, signer=signer)  # (1)
    offered = _check_keys(evidence, findings)
    contributors = 0
    for number in evidence.chronicle.finalised:
        found = _papers(evidence, number)
        if found is not None:
            paper, header = found
            contributors += len(paper.leaves)
            _check_seats(evidence, findings, header, offered)
            _check_consents(evidence, findings, paper)
    return f"{len(offered)} keys, {contributors} contributions under consent"


def _check_keys(evidence: Evidence, findings: Findings) -> Offered:
    """(2)."""
    offered: Offered = set()
    for account, key in evidence.run.transport_keys.items():
        path = evidence.object(key)
        with findings.at(path, holder=account):
            digest = transport_key_digest(evidence.archive.get(key, MAX_TRANSPORT_KEY))
            offered.add(account)
            registered = {keys.encryption for keys in evidence.chronicle.keys.get(account, ())}
            findings.expect(
                digest in registered, path, "the account registered another transport key", holder=account
            )
    return offered


def _papers(evidence: Evidence, number: int) -> tuple[RoundFacts, RoundHeader] | None:
    """Return paper and header of a round, or None where one cannot be read: that is for the check of the rounds to say."""
    try:
        return evidence.round(number), evidence.header(number)
    except SutureError:
        return None


def _check_seats(evidence: Evidence, findings: Findings, header: RoundHeader, offered: Offered) -> None:
    """(3)."""
    for seat in header.committee:
        findings.expect(
            seat.address in offered,
            evidence.public.run.name,
            "the folder does not offer the registered transport key of a member of the committee",
            number=header.round,
            holder=seat.address,
        )


def _check_consents(evidence: Evidence, findings: Findings, paper: RoundFacts) -> None:
    """(4)."""
    opened = evidence.chronicle.openings[paper.round].block
    for account, leaf in paper.leaves.items():
        findings.expect(
            evidence.chronicle.consent_before(account, opened) is not None,
            evidence.object(leaf),
            f"the holder contributed, but no consent of it held when the round was opened (block {opened})",
            number=paper.round,
            holder=account,
        )
