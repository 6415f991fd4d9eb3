"""Check 8: how the aggregate key came to be.

For every finalised round:

1. Every archived answer is of the member that it is filed under, for this header and the ledger's included set, and
   signed with the member's key (:func:`fl_core.protocol.coordinator.check_reveal`).
2. There are as many as the threshold, they lie on one polynomial, and its value is the archived aggregate key.
3. The key has the digest on the ledger.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_core.errors import DecodeError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.coordinator import check_reveal, combine
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import MAX_REVEAL, Reveal
from fl_core.protocol.opening import key_digest
from fl_core.secagg import shamir
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings

Words = npt.NDArray[np.uint64]


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the answers of all finalised rounds."""
    total = 0
    for done, number in enumerate(evidence.chronicle.finalised):
        findings.progress(done, len(evidence.chronicle.finalised))
        paper, before = evidence.round(number), len(findings.faults)
        shares = {}
        for account, digest in paper.reveals.items():
            with findings.at(evidence.object(digest), number=number, holder=account):
                shares[account] = _check_answer(evidence, number, account)
        total += len(shares)
        if len(findings.faults) == before:
            with findings.at(evidence.name(evidence.public.round(number)), number=number):
                combined = combine(evidence.header(number), shares)
                with findings.at(evidence.object(paper.aggregate_key), number=number):
                    _check_key(evidence, number, combined)
    return f"{total} signed answers"


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


def _check_key(evidence: Evidence, number: int, combined: Words) -> None:
    """(2) and (3)."""
    header = evidence.header(number)
    if not np.array_equal(read_key(evidence, number, header), combined):
        raise DecodeError("the archived aggregate key is not what the answers combine to")
    if key_digest(header, combined) != evidence.chronicle.finalised[number].aggregate_key:
        raise DecodeError("the ledger has the digest of another aggregate key")


def read_key(evidence: Evidence, number: int, header: RoundHeader) -> Words:
    """Return the archived aggregate key of a round, ``(N,) uint64``."""
    parameters = PARAMETER_SETS[header.parameter_set]
    encoded = evidence.archive.get(evidence.round(number).aggregate_key, shamir.vector_bytes(parameters))
    return shamir.decode_vector(parameters, encoded)
