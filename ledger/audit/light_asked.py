"""What was typed behind ``suture-audit light``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as they were typed; see :func:`ledger.audit.light_command.light`."""

    model: str
    rpc: tuple[str, ...]
    ledger: Path | None
    chain_id: int | None
    contract: str | None
    run: str | None
    at_least: int | None
    validators: tuple[str, ...]
    genesis: Path | None
    epoch_length: int | None
    genesis_hash: str | None
    witness: tuple[str, ...]
    checkpoints: Path | None
    witnesses_needed: int | None
    seen: str | None
    block: int | None
    max_age: int | None
    max_lag: int
    trust_node: bool
    timeout: float
