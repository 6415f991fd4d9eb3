"""Check 2: the chain follows from its transactions, and it is the chain, contract and run that ``run.json`` names.

1. ``run.json`` is well formed.
2. Every block, executed again from the first, gives what is recorded (:mod:`ledger.chain.embedded.replay`), and its
   transaction creates a contract of this version, by its own bytecode with canonical arguments, or calls one that was created
   so (:mod:`ledger.creation`). Nothing else is executed: it could take as long as it likes.
3. The code at the contract's address is the shipped artifact with this chain's and address's domain in it, and the contract
   was created so, logging nothing but its founders.
4. The run is on the ledger, nobody consented to it before it was there, and it pays in the token that ``run.json`` names:
   none, or a ``RewardToken`` that was created so.

On an external chain the auditor names nodes, and nothing can be executed again. Instead of (2), all events are proven from the
blocks' receipts and every model record of the run from the newest block's header (:mod:`ledger.audit.node_ledger`). What stands behind
that header are the nodes that agree on it, or validators' seals; with one node and no validators it is this node's word.

What no folder can prove is that everybody else saw the same blocks: compare the head's hash with the members'.
"""

from __future__ import annotations

from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.audit.node_ledger import check_node
from ledger.chain.embedded import replay
from ledger.creation import TOKEN, OurContracts
from ledger.records import EMPTY_ADDRESS


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the ledger."""
    paper, chain = evidence.public.run.name, evidence.public.chain.name
    with findings.at(paper):
        _ = evidence.run  # (1)
    if findings.faults:
        return ""
    contracts = OurContracts()
    if evidence.node is not None:
        return check_node(evidence, findings, evidence.node)
    with findings.at(chain):
        replay(
            evidence.chain_copy,
            chain_id=evidence.run.chain_id,
            progress=findings.progress,
            admit=contracts.admit,
        )  # (2)
    if findings.faults:
        return ""
    with findings.at(paper):
        evidence.reader.check_code()  # (3)
        evidence.reader.check_creation()
        _check_run(evidence, findings, contracts)  # (4)
    head = evidence.reader.head()
    return f"{head.number} blocks, the newest is 0x{head.hash.hex()}"


def _check_run(evidence: Evidence, findings: Findings, contracts: OurContracts) -> None:
    chronicle, paper = evidence.chronicle, evidence.public.run.name
    token = chronicle.run.token
    findings.expect(token == evidence.run.token, paper, "the run's rewards are in another token")
    if token != EMPTY_ADDRESS:
        creation = contracts.created.get(token)
        ours = creation is not None and creation.name == TOKEN
        code = creation.code(evidence.run.chain_id) if creation is not None and ours else b""
        findings.expect(
            ours and evidence.chain.code(token) == code, paper, "the token is not this version's RewardToken"
        )
    early = [c for changes in chronicle.consents.values() for c in changes if c.block <= chronicle.created]
    findings.expect(not early, evidence.public.chain.name, "a consent is older than the run")
