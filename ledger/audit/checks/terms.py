"""Check 4: the terms that holders agreed to, and the model that training began with.

1. The archived terms document is well formed and its digest is the run's on the ledger.
2. The run's id binds its sponsor and these terms.
3. The run kept to their number of rounds.
4. The initial model is the one that the terms name, has their tensors, and is a registered root of the run.
"""

from __future__ import annotations

from fl_core.models import decode_model, specs_of
from fl_core.models.step import STEPS
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.typed_data import model_id, run_id


def check(evidence: Evidence, findings: Findings) -> str:
    """Check terms and initial model."""
    run, path = evidence.chronicle.run, evidence.object(evidence.run.terms)
    with findings.at(path):
        terms = evidence.terms
        findings.expect(terms.digest == run.terms, path, "the ledger has the digest of other terms")  # (1)
        findings.expect(
            run_id(run.sponsor, terms.digest) == run.id, path, "the run's id binds other terms"
        )  # (2)
        findings.expect(
            terms.strategy in STEPS, path, f"{terms.strategy!r} is no step that can be recomputed"
        )
        finalised = len(evidence.chronicle.finalised)
        findings.expect(
            finalised <= terms.rounds,
            path,
            f"the terms allow {terms.rounds} rounds, {finalised} made a model",
        )  # (3)
    if not findings.faults:
        _check_initial_model(evidence, findings)  # (4)
    return f"{evidence.terms.title}" if not findings.faults else ""


def _check_initial_model(evidence: Evidence, findings: Findings) -> None:
    initial, terms = evidence.run.initial_model, evidence.terms
    path = evidence.object(initial)
    with findings.at(path):
        data = evidence.model(initial)
        specs = specs_of(decode_model(data, len(data)))
        findings.expect(specs == terms.tensors, path, "the initial model has other tensors than the terms")
        findings.expect(initial.hex() == terms.initial_model, path, "the terms name another initial model")
        root = evidence.chronicle.models.get(model_id(evidence.run.run, 0, initial))
        findings.expect(root is not None, path, "the initial model is not registered on the ledger")
