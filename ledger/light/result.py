"""What a light verification found, as a value: for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledger.light.nodes import Block
from ledger.light.records import ProvenModel, Subject, find
from ledger.light.table import CHECKS, LightCheckFailed, Outcome, Verdict
from ledger.light.verify import LightVerification


@dataclass(frozen=True, slots=True, kw_only=True)
class LightResult:
    """The result.

    Attributes:
        outcomes: One for each check, in the order of their numbers.
        block: The block whose state was looked at; None when its checks did not pass.
        vouchers: What stands behind the block.
        models: What the subject is on the ledger; empty when it is absent, or when a check failed.
        away: Name of a node -> why it could not be asked.
        fix: What to do about the check that failed; empty when none did.
    """

    outcomes: tuple[Outcome, ...]
    block: Block | None
    vouchers: tuple[str, ...]
    models: tuple[ProvenModel, ...]
    away: dict[str, str]
    fix: str

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(outcome.verdict is not Verdict.FAIL for outcome in self.outcomes)

    @property
    def known(self) -> bool | None:
        """Whether the ledger holds the subject; None when that is not proven."""
        return bool(self.models) if self.passed else None


def look_up(verification: LightVerification, subject: Subject) -> LightResult:
    """Make all checks and return what came of them; never raises for what a node does."""
    models: Sequence[ProvenModel] = ()
    block, fix = None, ""
    try:
        block = verification.block
        models = find(verification, subject)
    except LightCheckFailed as error:
        fix = error.fix
    made = {outcome.check.number: outcome for outcome in verification.outcomes}
    skipped = "an earlier check failed"
    return LightResult(
        outcomes=tuple(
            made.get(check.number) or Outcome(check=check, verdict=Verdict.SKIPPED, summary=skipped)
            for check in CHECKS
        ),
        block=block,
        vouchers=tuple(verification.vouchers),
        models=tuple(models),
        away=dict(verification.nodes.away),
        fix=fix,
    )
