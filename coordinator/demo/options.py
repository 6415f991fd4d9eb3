"""What a person can choose about the demo."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Engine(StrEnum):
    """What carries the Flower app."""

    LOCAL = "local"
    """In this process: no ports, no other processes."""
    DEPLOYMENT = "deployment"
    """Real processes over loopback: SuperLink, SuperNodes, ServerApp, ClientApps, one node process per hospital."""


class Protection(StrEnum):
    """What stands between a hospital's update and everybody else."""

    LATTICE = "lattice"
    """The default: nobody holds a key that opens one update, and anybody can audit the aggregate."""
    CKKS = "ckks"
    """The coordinator sees not even the aggregate, but every holder has the key to every update; no audit."""
    NONE = "none"
    """Updates in the clear, for comparison."""


ROUNDS = {Engine.LOCAL: 15, Engine.DEPLOYMENT: 2}
"""Rounds by default. Real processes take several seconds a message, since Flower starts one for each."""

MAX_ROUNDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The demo's options.

    Attributes:
        engine: What carries the Flower app.
        hospitals: How many hospitals, or their names.
        rounds: Number of rounds.
        seed: Decides the order of the training examples; encryption never depends on it.
        folder: Where everything is kept.
        data: CSV file; its name.
        table: What is in it. It was read once, since it may be a pipe.
        protection: What protects the updates.
        drop: Round in the middle of which the last hospital dies for good; 0 for none.
        port: Port of the SuperLink; None for any free one.
        rewards: Reward policy of the terms, see :mod:`ledger.rewards`.
        curves: Folder for training curves; None for none.
        ledger_url: Node of an external chain that the ledger is put on; a chain in the public folder when None.
    """

    engine: Engine
    hospitals: str
    rounds: int
    seed: int
    folder: Path
    data: Path
    table: bytes
    protection: Protection
    drop: int
    port: int | None
    ledger_url: str | None = None
    curves: Path | None = None
    rewards: str = "equal"

    @property
    def plain(self) -> bool:
        """Whether the run has neither protection nor ledger."""
        return self.protection is Protection.NONE

    @property
    def ckks(self) -> bool:
        """Whether the holders share one key and the rounds are not on the ledger."""
        return self.protection is Protection.CKKS
