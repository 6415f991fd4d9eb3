"""Check 10: the chain of models.

1. Every finalised round trained from the model before it: the last finalised round's, or the registered root.
2. Its model's id is made of run, round and file.
3. The parent plus the opened aggregate is the file on the ledger, bit for bit, and the archived file is that file.
4. The ledger's own account of the newest model's ancestors is this chain.
5. ``model.safetensors`` is the newest model.
"""

from __future__ import annotations

from fl_core.errors import DecodeError
from ledger.archive import MAX_OBJECT_BYTES
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.seal import hash_file
from ledger.typed_data import model_id


def check(evidence: Evidence, findings: Findings) -> str:
    """Check the models of all finalised rounds, and the newest one."""
    run, initial = evidence.run.run, evidence.run.initial_model
    chain = [model_id(run, 0, initial)]
    newest = initial
    for number, record in evidence.chronicle.finalised.items():
        path = evidence.object(evidence.round(number).model)
        with findings.at(path, number=number):
            findings.expect(
                record.opening.parent == chain[-1],
                path,
                "its parent is not the model before it",
                number=number,
            )
            _check_model(evidence, number)
        chain.append(record.model)
        newest = record.artifact
    path = evidence.name(evidence.public.model)
    with findings.at(path):
        ancestors = evidence.reader.lineage(chain[-1])
        findings.expect(list(ancestors) == chain[-2::-1], path, "the ledger gives the model other ancestors")
        try:
            found = hash_file(evidence.public.model, MAX_OBJECT_BYTES).sha256
        except OSError as error:
            raise DecodeError(f"the newest model cannot be read ({error.strerror})") from error
        findings.expect(found == newest, path, "it is not the newest model on the ledger")
    return f"{len(chain)} models, the newest is {newest.hex()}"


def _check_model(evidence: Evidence, number: int) -> None:
    """(2) and (3)."""
    record, archived = evidence.chronicle.finalised[number], evidence.round(number).model
    if record.model != model_id(evidence.run.run, number, record.artifact):
        raise DecodeError("the model's id is not made of run, round and file")
    made = evidence.next_artifacts.get(number)
    if made is None:
        raise DecodeError(
            "the model cannot be made again: its parent is not readable, or the aggregate does not open"
        )
    if made != record.artifact:
        raise DecodeError("the model on the ledger is not its parent plus the opened aggregate")
    if archived != record.artifact:
        raise DecodeError("the archived model is not the one on the ledger")
    evidence.model(archived)
