"""Check 11: who earned what, and where the money is.

1. Every finalised round paid what the terms say, and the archived document is the division of it that the policy gives,
   added to the sums before; its tree's root is on the ledger.
2. Nobody was paid more than it had earned when it was paid.
3. deposit = escrow + promised + refunded; promised = sum of the rounds; claimed = sum of the payments, at most promised.
4. The contract has at least the tokens that it still owes for this run.
5. Under terms that pay by examples every archived weight is the one that its client's leaf commits to, and they fit the weight of
   the sum, or nobody was paid for the round. Who opened none earned nothing there; how many these were, the summary says.
"""

from __future__ import annotations

from fl_core.errors import DecodeError, VerificationError
from fl_core.protocol.weights import (
    MAX_WEIGHT_OPENING,
    WeightOpening,
    verify_weight_opening,
    verify_weight_sum,
)
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings
from ledger.documents import MAX_DOCUMENT, encode_rewards, metrics_weight
from ledger.records import EMPTY_ADDRESS, EMPTY_WORD
from ledger.rewards import Allocation, RoundFacts, allocate, rewards_tree

Sums = dict[bytes, int]
"""Account -> everything it earned so far."""


def check(evidence: Evidence, findings: Findings) -> str:
    """Check rewards, payments and escrow."""
    earned: Sums = {}
    after: list[tuple[int, Sums]] = []
    unopened = 0
    for number, record in evidence.chronicle.finalised.items():
        paper = evidence.round(number)
        path = (
            evidence.object(paper.rewards) if paper.rewards else evidence.name(evidence.public.round(number))
        )
        with findings.at(path, number=number):
            facts = _facts(evidence, findings, number)
            unopened += len(facts.included) - len(facts.weights) if evidence.terms.opens_weights else 0
            allocation = allocate(
                evidence.terms.reward_policy, facts, evidence.terms.reward_per_round, earned
            )
            earned = allocation.earned
            _check_round(evidence, number, allocation)
        after.append((record.block, earned))
    chain = evidence.public.chain.name
    with findings.at(chain):
        _check_payments(evidence, findings, after)
        _check_books(evidence, findings)
    run = evidence.chronicle.run
    missing = f"; {unopened} weights were not opened and earned nothing" if unopened else ""
    return f"{run.allocated} units promised, {run.claimed} paid{missing}"


def _facts(evidence: Evidence, findings: Findings, number: int) -> RoundFacts:
    """(5) Return what the round's reward is divided by."""
    paper, header = evidence.round(number), evidence.header(number)
    if not evidence.terms.opens_weights:
        if paper.weights:
            raise DecodeError("weights were opened, but the terms do not pay by examples")
        return RoundFacts(included=paper.included)
    weights = {}
    for account, digest in paper.weights.items():
        with findings.at(evidence.object(digest), number=number, holder=account):
            if account not in paper.included:
                raise DecodeError("a weight of nobody in the included set was opened")
            opening = WeightOpening.decode(evidence.archive.get(digest, MAX_WEIGHT_OPENING))
            verify_weight_opening(header, opening, evidence.leaf(number, account))
            weights[account] = opening.units
    if paper.metrics != evidence.chronicle.finalised[number].metrics:
        raise DecodeError("the ledger has the digest of other metrics, so the weight of the sum is not known")
    total = metrics_weight(evidence.archive.get(paper.metrics, MAX_DOCUMENT))
    try:
        verify_weight_sum(header, weights, included_count=len(paper.included), weight_units=total)
    except VerificationError:
        return RoundFacts(included=paper.included, weights=weights, weights_fit=False)
    return RoundFacts(included=paper.included, weights=weights)


def _check_round(evidence: Evidence, number: int, allocation: Allocation) -> None:
    """(1)."""
    record, paper = evidence.chronicle.finalised[number], evidence.round(number)
    earned = allocation.earned
    if record.reward != allocation.reward:
        raise DecodeError(
            f"the round paid {record.reward} units, by its terms and papers it pays {allocation.reward}"
        )
    if record.reward == 0:
        if paper.rewards or record.rewards != EMPTY_WORD:
            raise DecodeError("the round paid nothing, but there is a document or a root of rewards")
        return
    if rewards_tree(evidence.run.run, earned).root != record.rewards:
        raise DecodeError("the ledger has the root of another division")
    if not paper.rewards:
        raise DecodeError("the round paid rewards, but there is no document of them")
    if evidence.archive.get(paper.rewards, MAX_DOCUMENT) != encode_rewards(evidence.run.run, earned):
        raise DecodeError("the document is not the division that the policy gives")


def _check_payments(evidence: Evidence, findings: Findings, after: list[tuple[int, Sums]]) -> None:
    """(2)."""
    paid: Sums = {}
    for payment in evidence.chronicle.claims:
        account = payment.account
        paid[account] = paid.get(account, 0) + payment.amount
        earned = next((sums for block, sums in reversed(after) if block < payment.block), {})
        findings.expect(
            paid[account] <= earned.get(account, 0),
            evidence.public.chain.name,
            f"block {payment.block} paid {paid[account]} units in all, {earned.get(account, 0)} were earned",
            holder=account,
        )


def _check_books(evidence: Evidence, findings: Findings) -> None:
    """(3) and (4)."""
    chronicle, path = evidence.chronicle, evidence.public.chain.name
    run = chronicle.run
    promised = sum(record.reward for record in chronicle.finalised.values())
    claimed = sum(payment.amount for payment in chronicle.claims)
    books = (
        (
            chronicle.deposit == run.escrow + run.allocated + chronicle.refunded,
            "deposit and escrow do not balance",
        ),
        (run.allocated == promised, "what was promised is not the sum of the rounds"),
        (run.claimed == claimed, "what was claimed is not the sum of the payments"),
        (run.claimed <= run.allocated, "more was claimed than promised"),
    )
    for holds, problem in books:
        findings.expect(holds, path, problem)
    if run.token != EMPTY_ADDRESS:
        balance, owed = (
            evidence.reader.token_balance(run.token, evidence.run.contract),
            run.escrow + promised - claimed,
        )
        findings.expect(balance >= owed, path, f"the contract owes {owed} units and has {balance}")
