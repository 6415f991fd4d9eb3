"""Numbers of the audit's checks, written down anew: a number is never given to another check (docs/reference/audit.md)."""

from __future__ import annotations

(
    SEAL,
    LEDGER,
    MEMBERS,
    TERMS,
    ROUNDS,
    LEAVES,
    CIPHERTEXTS,
    ANSWERS,
    AGGREGATES,
    MODELS,
    REWARDS,
    PRIVACY,
    CHECKPOINTS,
) = range(1, 14)
