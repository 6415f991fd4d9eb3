"""Runs the table of checks over a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger.audit.checks import (
    aggregates,
    answers,
    checkpoints,
    ciphertexts,
    leaves,
    ledger,
    members,
    models,
    privacy,
    rewards,
    rounds,
    seal,
    table,
    terms,
)
from ledger.audit.checks.table import CHECKS, Check
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Findings, Outcome, Verdict
from ledger.audit.node_reading import NodeReading
from ledger.audit.papers import open_folder

Run = Callable[[Evidence, Findings], str]
Watch = Callable[[Check, int, int], None]
"""Told which check is at work, how much of it is done, and how much there is."""

RUNS: Mapping[int, Run] = {
    table.SEAL.number: seal.check,
    table.LEDGER.number: ledger.check,
    table.MEMBERS.number: members.check,
    table.TERMS.number: terms.check,
    table.ROUNDS.number: rounds.check,
    table.LEAVES.number: leaves.check,
    table.CIPHERTEXTS.number: ciphertexts.check,
    table.ANSWERS.number: answers.check,
    table.AGGREGATES.number: aggregates.check,
    table.MODELS.number: models.check,
    table.REWARDS.number: rewards.check,
    table.PRIVACY.number: privacy.check,
    table.CHECKPOINTS.number: checkpoints.check,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of an audit.

    Attributes:
        folder: What was audited.
        run: Run id, hexadecimal; empty where ``run.json`` cannot be read.
        names: What ``run.json`` calls the accounts, by hexadecimal address.
        outcomes: One for each check, in order.
    """

    folder: Path
    run: str
    names: Mapping[str, str]
    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether every check was made and passed."""
        return all(outcome.verdict is Verdict.PASS for outcome in self.outcomes)


def _ignore(check: Check, done: int, total: int) -> None:
    """Watch nothing."""


def verify(
    path: Path, *, node: NodeReading | None = None, fail_fast: bool = False, watch: Watch = _ignore
) -> Report:
    """Audit the public folder that ``path`` is or contains.

    Args:
        path: The folder.
        node: Where the ledger is read, if it is an external chain.
        fail_fast: Make no further check after one that failed.
        watch: Told about the progress.

    Raises:
        InputError: There is no public folder, or it cannot be read at all.
    """
    with Evidence(open_folder(path), node) as evidence:
        outcomes = perform(evidence, CHECKS, fail_fast=fail_fast, watch=watch)
        known = _known(evidence)
        return Report(
            folder=evidence.public.path,
            run=evidence.run.run.hex() if known else "",
            names={account.hex(): name for account, name in evidence.run.names.items()} if known else {},
            outcomes=outcomes,
        )


def perform(
    evidence: Evidence, checks: Sequence[Check], *, fail_fast: bool = False, watch: Watch = _ignore
) -> tuple[Outcome, ...]:
    """Make some checks in order; one whose needs did not pass is skipped."""
    outcomes: dict[int, Outcome] = {}
    for check in checks:
        reason = _why_not(check, outcomes, fail_fast)
        if reason:
            outcomes[check.number] = Outcome(number=check.number, verdict=Verdict.SKIPPED, summary=reason)
        else:
            outcomes[check.number] = _make(check, evidence, watch)
    return tuple(outcomes.values())


def _make(check: Check, evidence: Evidence, watch: Watch) -> Outcome:
    findings = Findings(lambda done, total: watch(check, done, total))
    start, summary = time.perf_counter(), ""
    watch(check, 0, 1)
    try:
        summary = RUNS[check.number](evidence, findings)
    except Exception as error:  # noqa: BLE001 - files come from the audited party: whatever they make a check raise is
        # a failure of the folder, never a pass and never the end of the audit
        findings.add(".", f"the check could not be made: {type(error).__name__}: {error}")
    return findings.outcome(check.number, summary, 1000 * (time.perf_counter() - start))


def _why_not(check: Check, outcomes: Mapping[int, Outcome], fail_fast: bool) -> str:
    """Return why a check is not made, or an empty string."""
    stops = [outcome.stop for outcome in outcomes.values() if outcome.stop]
    if stops:
        return stops[0]
    names = {entry.number: entry.name for entry in CHECKS}
    missed = [n for n in check.needs if n in outcomes and outcomes[n].verdict is not Verdict.PASS]
    if missed:
        listed = ", ".join(f"{n} ({names[n]})" for n in missed)
        return f"needs check {listed}"
    if fail_fast and any(outcome.verdict is Verdict.FAIL for outcome in outcomes.values()):
        return "stopped at the first failure"
    return ""


def _known(evidence: Evidence) -> bool:
    """Tell whether ``run.json`` can be read."""
    findings = Findings(lambda done, total: None)
    with findings.at(evidence.public.run.name):
        _ = evidence.run
    return not findings.faults
