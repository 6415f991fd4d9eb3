"""Check 8: how the aggregate key came to be.

For every finalised round:

1. Every archived answer is of the member that it is filed under, for this header and the ledger's included set, and
   signed with the member's key (:func:`fl_core.protocol.coordinator.check_reveal`).
2. The key has the digest on the ledger.
3. As many of the answers as the threshold combine to it. Those that do not are false; that makes no difference to the key,
   and they are counted in the verdict.

And about the share check before it (:mod:`fl_core.protocol.share_check`):

4. Every archived answer is of the member that it is filed under, for this header and the ledger's accepted set, and signed.
5. Judged again from these values and the ciphertexts' check elements, the outcome is the document of exclusions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fl_core.errors import DecodeError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.check_messages import MAX_CHECK_ANSWER, CheckAnswer
from fl_core.protocol.coordinator import check_reveal
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import MAX_REVEAL, Reveal
from fl_core.protocol.opening import key_digest
from fl_core.protocol.recovery import recover_key
from fl_core.protocol.share_check import judge, verify_check_answer
from fl_core.secagg import shamir
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings

Words = npt.NDArray[np.uint64]


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the answers of all finalised rounds."""
    total = lies = 0
    for done, number in enumerate(evidence.chronicle.finalised):
        findings.progress(done, len(evidence.chronicle.finalised))
        paper, before = evidence.round(number), len(findings.faults)
        shares = {}
        for account, digest in paper.reveals.items():
            with findings.at(evidence.object(digest), number=number, holder=account):
                shares[account] = _check_answer(evidence, number, account)
        values = {}
        for account, digest in paper.checks.items():
            with findings.at(evidence.object(digest), number=number, holder=account):
                values[account] = _check_values(evidence, number, account)
        total += len(shares) + len(paper.checks)
        if len(findings.faults) == before:
            with findings.at(evidence.object(paper.aggregate_key), number=number):
                lies += _check_key(evidence, number, shares)
            with findings.at(evidence.object(paper.exclusions), number=number):
                _check_verdicts(evidence, number, values)
    return f"{total} signed answers" + (f", {lies} of them false and without effect" if lies else "")


def _check_answer(evidence: Evidence, number: int, account: bytes) -> Words:
    """(1)."""
    paper, header = evidence.round(number), evidence.header(number)
    reveal = Reveal.decode(evidence.archive.get(paper.reveals[account], MAX_REVEAL))
    if reveal.statement.member != account:
        raise DecodeError("the answer is of another member")
    return check_reveal(
        header,
        reveal,
        included_root=evidence.chronicle.finalised[number].included,
        signers={account: evidence.chronicle.signer_at(account, number)},
        notary=evidence.statements,
    )


def _check_values(evidence: Evidence, number: int, account: bytes) -> tuple[int, ...]:
    """(4)."""
    header, record = evidence.header(number), evidence.chronicle.finalised[number]
    answer = CheckAnswer.decode(
        evidence.archive.get(evidence.round(number).checks[account], MAX_CHECK_ANSWER)
    )
    if answer.statement.member != account:
        raise DecodeError("the values are of another member")
    verify_check_answer(
        header,
        answer,
        accepted_root=record.root,
        accepted_count=record.count,
        signers={account: evidence.chronicle.signer_at(account, number)},
        notary=evidence.statements,
    )
    return answer.values


def _check_verdicts(evidence: Evidence, number: int, values: Mapping[bytes, tuple[int, ...]]) -> None:
    """(5)."""
    header = evidence.header(number)
    if len(values) < header.threshold:
        raise DecodeError("fewer members than the threshold answered the share check")
    found = judge(
        header,
        accepted_root=evidence.chronicle.finalised[number].root,
        combined=sorted(evidence.combined[number].items()),
        answers=values,
    )
    if found != evidence.exclusions(number):
        raise DecodeError("the share check leaves out others than the document says")


def _check_key(evidence: Evidence, number: int, shares: Mapping[bytes, Words]) -> int:
    """(2) and (3); returns how many answers are false."""
    header = evidence.header(number)
    key = read_key(evidence, number, header)
    if key_digest(header, key) != evidence.chronicle.finalised[number].aggregate_key:
        raise DecodeError("the ledger has the digest of another aggregate key")
    recovered = recover_key(header, shares, accept=lambda candidate: np.array_equal(candidate, key))
    return len(recovered.liars)


def read_key(evidence: Evidence, number: int, header: RoundHeader) -> Words:
    """Return the archived aggregate key of a round, ``(N,) uint64``."""
    parameters = PARAMETER_SETS[header.parameter_set]
    encoded = evidence.archive.get(evidence.round(number).aggregate_key, shamir.vector_bytes(parameters))
    return shamir.decode_vector(parameters, encoded)
