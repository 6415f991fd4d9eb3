"""The numbered checks of the light verification, and the error that carries their numbers.

The table is the one of ``docs/reference/light.md`` and of the threat model; tests compare them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from fl_core.errors import VerificationError


@dataclass(frozen=True, slots=True, kw_only=True)
class LightCheck:
    """One check.

    Attributes:
        number: Its number; never reused.
        name: One word for people.
        proves: What it means that it passes.
    """

    number: int
    name: str
    proves: str


CHAIN: Final = LightCheck(number=1, name="chain", proves="every node serves the chain that was asked for")
HEADER: Final = LightCheck(
    number=2, name="header", proves="the block's hash follows from its fields, at every node that shows it"
)
AGREEMENT: Final = LightCheck(
    number=3, name="agreement", proves="no two nodes show different blocks at the height, and enough show one"
)
GENESIS: Final = LightCheck(number=4, name="genesis", proves="block 0 is the pinned one")
SEALS: Final = LightCheck(
    number=5,
    name="seals",
    proves="two thirds of the validators sealed the block: the pinned ones, or those whom they voted in (QBFT)",
)
CHECKPOINTS: Final = LightCheck(
    number=6, name="checkpoints", proves="enough pinned witnesses signed the block, or one that follows it"
)
HISTORY: Final = LightCheck(
    number=7,
    name="history",
    proves="the block that was seen before is still there, and this one belongs to it",
)
FRESH: Final = LightCheck(
    number=8, name="fresh", proves="the block is recent, and no node withholds blocks that another one shows"
)
VOUCHED: Final = LightCheck(
    number=9, name="vouched", proves="something other than one node's word stands behind the block"
)
ACCOUNT: Final = LightCheck(number=10, name="account", proves="the contract is in the block's state")
CODE: Final = LightCheck(
    number=11, name="code", proves="its code is this version's, set up for this chain and address"
)
RECORD: Final = LightCheck(
    number=12, name="record", proves="the record is in the contract's storage, and its id follows from it"
)
ABSENCE: Final = LightCheck(
    number=13, name="absence", proves="there is no record under any id that the model could have"
)

CHECKS: Final = (
    CHAIN, HEADER, AGREEMENT, GENESIS, SEALS, CHECKPOINTS, HISTORY, FRESH, VOUCHED, ACCOUNT, CODE, RECORD, ABSENCE,
)  # fmt: skip
"""All checks, in the order in which they are made."""


class LightCheckFailed(VerificationError):
    """A check of the light verification failed.

    Args:
        check: Which one.
        message: What was expected and what came.
        fix: What to do about it.
    """

    def __init__(self, check: LightCheck, message: str, *, fix: str = "") -> None:
        super().__init__(f"light check ({check.number}): {message}", fix=fix)
        self.check = check
        self.problem = message


class Verdict(StrEnum):
    """What came of a check."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one check.

    Attributes:
        check: Which one.
        verdict: Passed, failed, or not made.
        summary: What was seen, or why it failed or was not made.
    """

    check: LightCheck
    verdict: Verdict
    summary: str
