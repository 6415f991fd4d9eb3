"""From a model file to its lineage: which model of the ledger it is, which models it came from, and who contributed to each.

What is shown is checked first: the chain is executed again (check 2), and the leaves from which contributors and data sets
are read make the roots on the ledger (check 6, for the rounds of the lineage). The other checks are ``verify``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fl_core.errors import SutureError
from ledger.audit.checks.leaves import check_round
from ledger.audit.checks.table import LEDGER
from ledger.audit.chronicle import ModelEntry
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Fault, Findings
from ledger.audit.node_reading import NodeReading
from ledger.audit.papers import open_folder
from ledger.audit.verify import perform


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributor:
    """A holder whose update is in a model.

    Attributes:
        account: Its account.
        name: What ``run.json`` calls it; not checked by anything.
        dataset: Its commitment to the data set that it used.
        consent: Block in which it consented to the run's terms.
        withdrawn: Block in which it withdrew that consent later; 0 when it has not.
    """

    account: bytes
    name: str
    dataset: bytes
    consent: int
    withdrawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ancestor:
    """A model of the lineage.

    Attributes:
        entry: The model on the ledger.
        contributors: Whose updates made it, ascending by account; none for a registered root.
        here: Whether its round is of the folder's run; contributors of other runs are not in the folder.
    """

    entry: ModelEntry
    contributors: tuple[Contributor, ...]
    here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The result of a trace.

    Attributes:
        artifact: SHA-256 of the file.
        run: The folder's run; empty where ``run.json`` cannot be read.
        models: The file's model, its parent, and so on down to the root; none when the ledger does not know the file, or
            when its chain is not sound.
        faults: What is wrong with what the lineage is read from.
    """

    artifact: bytes
    run: bytes
    models: tuple[Ancestor, ...]
    faults: tuple[Fault, ...]


def trace(artifact: bytes, path: Path, *, node: NodeReading | None = None) -> Lineage:
    """Trace a model file in the public folder that ``path`` is or contains.

    Args:
        artifact: SHA-256 of the file.
        path: The folder.
        node: Where the ledger is read, if it is an external chain.

    Raises:
        InputError: There is no public folder, or it cannot be read at all.
    """
    with Evidence(open_folder(path), node) as evidence:
        (outcome,) = perform(evidence, (LEDGER,))
        if outcome.faults:
            return Lineage(artifact=artifact, run=b"", models=(), faults=outcome.faults)
        findings = Findings(lambda done, total: None)
        chain = _chain(evidence, findings, artifact)
        models = tuple(_ancestor(evidence, findings, entry) for entry in chain)
        run = evidence.run.run
        return Lineage(artifact=artifact, run=run, models=models, faults=tuple(findings.faults))


def _chain(evidence: Evidence, findings: Findings, artifact: bytes) -> list[ModelEntry]:
    """Return the newest model with this file, of this run where possible, and its ancestors.

    A parent is older than its child, so the chain ends; where one is not, that is a fault and the end.
    """
    models, run = evidence.chronicle.models, evidence.run.run
    matching = [entry for entry in models.values() if entry.artifact == artifact]
    if not matching:
        return []
    chain = [max(matching, key=lambda entry: (entry.run == run, entry.block))]
    while (parent := models.get(chain[-1].parent)) is not None:
        if parent.block >= chain[-1].block:
            findings.add(
                evidence.public.chain.name, f"model 0x{chain[-1].id.hex()} is not newer than its parent"
            )
            break
        chain.append(parent)
    return chain


def _ancestor(evidence: Evidence, findings: Findings, entry: ModelEntry) -> Ancestor:
    here, number = entry.run == evidence.run.run, entry.round
    contributors: tuple[Contributor, ...] = ()
    if here and number:
        before = len(findings.faults)
        with findings.at(evidence.name(evidence.public.round(number)), number=number):
            check_round(evidence, findings, number)
            if len(findings.faults) == before:
                included = evidence.round(number).included
                contributors = tuple(_contributor(evidence, number, account) for account in included)
    return Ancestor(entry=entry, contributors=contributors, here=here)


def _contributor(evidence: Evidence, number: int, account: bytes) -> Contributor:
    chronicle = evidence.chronicle
    consent = chronicle.consent_before(account, chronicle.openings[number].block)
    if consent is None:
        raise SutureError(f"no consent of 0x{account.hex()} held when the round was opened")
    later = [c.block for c in chronicle.consents[account] if not c.given and c.block > consent.block]
    return Contributor(
        account=account,
        name=evidence.holder(account),
        dataset=evidence.leaf(number, account).statement.dataset,
        consent=consent.block,
        withdrawn=later[0] if later else 0,
    )
