"""Check 2: the chain follows from its transactions, and it is the chain, contract and run that ``run.json`` names.

1. ``run.json`` is well formed.
2. Every block, executed again from the first, gives what is recorded (:mod:`ledger.chain.embedded.replay`).
3. The code at the contract's address is the shipped artifact with this chain's and address's domain in it.
4. The run is on the ledger and pays in the token that ``run.json`` names.

What no folder can prove is that everybody else saw the same blocks: compare the head's hash with the members'.
"""

from __future__ import annotations

from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.chain.embedded import replay


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the ledger."""
    paper, chain = evidence.public.run.name, evidence.public.chain.name
    with findings.at(paper):
        _ = evidence.run  # (1)
    if findings.faults:
        return ""
    with findings.at(chain):
        replay(evidence.chain_copy, chain_id=evidence.run.chain_id, progress=findings.progress)  # (2)
    if findings.faults:
        return ""
    with findings.at(paper):
        evidence.reader.check_code()  # (3)
        token = evidence.chronicle.run.token  # (4)
        findings.expect(token == evidence.run.token, paper, "the run's rewards are in another token")
    head = evidence.reader.head()
    return f"{head.number} blocks, the newest is 0x{head.hash.hex()}"
