"""What the sources of the contracts say, for tests that compare it with something else."""

from __future__ import annotations

import re
from pathlib import Path

import ledger.contracts

PREFIXES = {"RewardToken": "reward_token", "TrainingLedger": "training_ledger"}
"""Contract -> what its sentences begin with."""


def source(name: str) -> str:
    """Return the Vyper text of a contract."""
    return Path(ledger.contracts.__path__[0], f"{name}.vy").read_text("utf-8")


def sentences(name: str) -> frozenset[str]:
    """Return every sentence with which a contract refuses a call; ``_require`` puts the prefix before its rule."""
    prefix = PREFIXES[name]
    written = re.findall(rf'"({prefix}: [a-z][^"]*)"', source(name))
    required = re.findall(r'self\._require\(.+, "([^"]+)"\)$', source(name), re.MULTILINE)
    return frozenset(written) | {f"{prefix}: {rule}" for rule in required}
