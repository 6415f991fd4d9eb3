"""The ledger of a run on an external chain, as nodes show it: what check 2 can say without executing anything.

1. The nodes serve the chain that ``run.json`` names, and the folder brings no chain of its own.
2. They agree on a block; validators sealed it where any are pinned; every block before it follows from it, and the events that
   all other checks read are those of the blocks' receipts (:mod:`ledger.audit.node_reading`). Views are computed from proven storage.
3. The code at the contract's address is the shipped artifact, and the contract was created by it.
4. The run is on the ledger as the event of its creation has it, nobody consented to it before, and it pays in the token that
   ``run.json`` names, whose code is this version's. How that token was created is not looked at.
5. Every model record of the run is proven from the header of that block (:mod:`ledger.light`).
"""

from __future__ import annotations

from ledger.artifacts import load
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.audit.node_reading import NodeReading
from ledger.creation import TOKEN
from ledger.light.records import RecordProofs
from ledger.records import EMPTY_ADDRESS

_WORD = 32


def check_node(evidence: Evidence, findings: Findings, node: NodeReading) -> str:
    """Check the ledger through nodes; returns a summary."""
    paper = evidence.public.run.name
    findings.expect(
        node.chain_id == evidence.run.chain_id,
        paper,
        f"the node serves chain {node.chain_id}, the run is on chain {evidence.run.chain_id}",
    )
    findings.expect(
        not evidence.public.chain.exists(),
        evidence.public.chain.name,
        "the folder has a chain: leave --rpc out",
    )  # (1)
    if findings.faults:
        return ""
    node.progress, events = findings.progress, 0
    with findings.at(paper):
        events = sum(1 for _ in node.logs(evidence.run.contract, [], 0, node.block.number))  # (2)
    if findings.faults:
        return ""
    with findings.at(paper):
        evidence.reader.check_code()  # (3)
        evidence.reader.check_creation()
        _check_run(evidence, findings, node)  # (4)
    if findings.faults:
        return ""
    proven = 0
    with findings.at(paper):
        proven = _prove_models(evidence, findings, node)  # (5)
    how = "proven from headers" if node.proven else "the same at all nodes"
    return (
        f"external chain, not executed again: {proven} model records proven, {events} events {how}; "
        f"{node.vouchers} for block {node.block}"
    )


def _check_run(evidence: Evidence, findings: Findings, node: NodeReading) -> None:
    chronicle, paper = evidence.chronicle, evidence.public.run.name
    token = chronicle.run.token
    findings.expect(token == evidence.run.token, paper, "the run's rewards are in another token")
    if token != EMPTY_ADDRESS:
        code, artifact = node.code(token), load(TOKEN)
        whole = len(artifact.runtime) + _WORD * len(artifact.immutables)
        findings.expect(
            code.startswith(artifact.runtime) and len(code) == whole,
            paper,
            "the token is not this version's RewardToken",
        )
    created = [
        (v["sponsor"], v["coordinator"], v["terms"], v["token"])
        for v in (event.values for event in evidence.reader.events("RunCreated"))
        if v["run"] == chronicle.run.id
    ]
    run = chronicle.run
    findings.expect(
        created == [(run.sponsor, run.coordinator, run.terms, run.token)],
        paper,
        "the run's record is not what the event of its creation says",
    )
    early = [c for changes in chronicle.consents.values() for c in changes if c.block <= chronicle.created]
    findings.expect(not early, paper, "a consent is older than the run")


def _prove_models(evidence: Evidence, findings: Findings, node: NodeReading) -> int:
    """Compare the records of the run's models with their proofs; return how many."""
    contract = evidence.run.contract
    proofs = RecordProofs(node.verification(contract), node.state(contract))
    entries = [entry for entry in evidence.chronicle.models.values() if entry.run == evidence.run.run]
    for done, entry in enumerate(entries):
        findings.progress(done, len(entries))
        model = proofs.model(entry.id)
        same = model is not None and (model.record.round, model.record.artifact) == (
            entry.round,
            entry.artifact,
        )
        findings.expect(
            same, evidence.public.run.name, f"model 0x{entry.id.hex()} is not what the node's proof shows"
        )
        if model is not None and entry.round:
            findings.expect(
                model.parent == entry.parent,
                evidence.public.run.name,
                f"model 0x{entry.id.hex()} has another parent than the node's proof shows",
            )
    return len(entries)
