"""Check 9: the sum of the archived ciphertexts, opened with the aggregate key, is what the ledger recorded.

For every finalised round, with one ciphertext and one aggregate in memory at a time:

1. The key opens the folded ciphertexts (:func:`fl_core.protocol.opening.open_aggregate`).
2. The metrics document, made again from the opened sums with its own salt, is the archived one, and its digest is on the
   ledger.
3. The next finalised round's clips are those that follow from this aggregate.

4. Where a blame opening names clients, every answer to it is signed and for the first place where the sum failed, and the
   named are those whose ciphertext is malformed there (:mod:`fl_core.protocol.blame`).

What the aggregate makes of the parent model is computed here as well, while the aggregate is at hand; check 10 compares.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from fl_core.errors import DecodeError, SutureError
from fl_core.models import decode_model, encode_model, model_digest
from fl_core.models.step import apply_step
from fl_core.protocol.blame import coefficient_at, find_place, name_spoilers, verify_blame_answer
from fl_core.protocol.blame_messages import BlameAnswer
from fl_core.protocol.check_messages import MAX_CHECK_ANSWER
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.opening import Aggregate, fold, open_aggregate
from fl_core.protocol.setup import layout_of, quantiser_of
from ledger.audit.checks.answers import read_key
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.documents import MAX_DOCUMENT, encode_metrics, metrics_salt

Words = npt.NDArray[np.uint64]


def check(evidence: Evidence, findings: Findings) -> str:
    """Recompute the aggregates of all finalised rounds."""
    total = 0
    for done, number in enumerate(evidence.chronicle.finalised):
        findings.progress(done, len(evidence.chronicle.finalised))
        paper, header = evidence.round(number), evidence.header(number)
        with findings.at(evidence.object(paper.aggregate_key), number=number):
            sums, key, aggregate = _open(evidence, number)
            total += aggregate.count
            with findings.at(evidence.object(paper.metrics), number=number):
                _check_metrics(evidence, number, aggregate)
            _check_clips(evidence, findings, number, aggregate)
            _make_model(evidence, header, aggregate)
            with findings.at(evidence.name(evidence.public.round(number)), number=number):
                _check_blame(evidence, number, sums, key, aggregate)
    return f"{len(evidence.chronicle.finalised)} aggregates of {total} updates"


def _open(evidence: Evidence, number: int) -> tuple[Words, Words, Aggregate]:
    """(1)."""
    header = evidence.header(number)
    size = layout_of(header).ciphertext_bytes
    paper = evidence.round(number)
    included = (paper.ciphertexts[account] for account in paper.included)
    sums, count = fold(header, (evidence.archive.get(digest, size) for digest in included))
    key = read_key(evidence, number, header)
    return sums, key, open_aggregate(header, sums, count, key)


def _check_metrics(evidence: Evidence, number: int, aggregate: Aggregate) -> None:
    """(2)."""
    document = evidence.archive.get(evidence.round(number).metrics, MAX_DOCUMENT)
    if encode_metrics(evidence.header(number), aggregate, metrics_salt(document)) != document:
        raise DecodeError("the metrics are not those of the opened aggregate")
    if hashlib.sha256(document).digest() != evidence.chronicle.finalised[number].metrics:
        raise DecodeError("the ledger has the digest of other metrics")


def _check_clips(evidence: Evidence, findings: Findings, number: int, aggregate: Aggregate) -> None:
    """(3)."""
    later = [n for n in evidence.chronicle.finalised if n > number]
    if not later:
        return
    terms, following = evidence.terms, min(later)
    blocks = quantiser_of(evidence.header(number)).next_blocks(
        aggregate.sums, aggregate.count, floor=terms.clip_floor, factor=terms.clip_factor
    )
    findings.expect(
        evidence.header(following).blocks == blocks,
        evidence.object(evidence.round(following).header),
        f"the clips do not follow from the aggregate of round {number}",
        number=following,
    )


def _make_model(evidence: Evidence, header: RoundHeader, aggregate: Aggregate) -> None:
    """Note the digest of the next model; where the parent cannot be read, check 10 finds none."""
    try:
        parent = evidence.model(header.artifact)
        tensors = apply_step(evidence.terms.strategy, decode_model(parent, len(parent)), aggregate.update)
        evidence.next_artifacts[header.round] = model_digest(encode_model(tensors))
    except SutureError:
        pass


def _check_blame(evidence: Evidence, number: int, sums: Words, key: Words, aggregate: Aggregate) -> None:
    """(4)."""
    paper, header, record = (
        evidence.round(number),
        evidence.header(number),
        evidence.chronicle.finalised[number],
    )
    if not paper.blames and not paper.blamed:
        return
    if not evidence.terms.blame_opening:
        raise DecodeError("the terms of this run allow no blame opening")
    place = find_place(header, sums, aggregate.count, key, aggregate.failed)
    if place is None:
        raise DecodeError("clients are blamed for a sum that did not fail where it may be opened")
    values = {}
    for account, digest in paper.blames.items():
        answer = BlameAnswer.decode(evidence.archive.get(digest, MAX_CHECK_ANSWER))
        if answer.statement.member != account:
            raise DecodeError("a blame answer is of another member")
        verify_blame_answer(
            header,
            answer,
            place=place,
            included_root=record.included,
            included_count=record.included_count,
            signers={account: evidence.chronicle.signer_at(account, number)},
            notary=evidence.statements,
        )
        values[account] = answer.values
    size = layout_of(header).ciphertext_bytes
    coefficients = [
        (account, coefficient_at(header, evidence.archive.get(paper.ciphertexts[account], size), place))
        for account in paper.included
    ]
    enough = len(values) >= header.threshold
    named = name_spoilers(header, place=place, coefficients=coefficients, answers=values) if enough else ()
    if named != paper.blamed:
        raise DecodeError("the blame opening names others than the paper says")
