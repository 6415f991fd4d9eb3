"""What ``node.toml`` says, for commands that open no key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clients.node.house import load_ledger, load_name, load_policy
from clients.node.policy import Policy
from ledger.address import LedgerAddress

FILE = "node.toml"
PRIVATE = 0o600
MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What ``node.toml`` says.

    Attributes:
        name: The holder's name.
        policy: The holder's rules.
        ledger: Which ledger the node follows; None before it joined one.
    """

    name: str
    policy: Policy
    ledger: LedgerAddress | None


def read_config(folder: Path) -> Config:
    """Read ``node.toml``; opens no key.

    Raises:
        InputError: It is missing or malformed.
    """
    return Config(name=load_name(folder), policy=load_policy(folder), ledger=load_ledger(folder))
