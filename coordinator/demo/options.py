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
        plain: Run without protection and ledger, for comparison.
        drop: Round in the middle of which the last hospital dies for good; 0 for none.
        port: Port of the SuperLink; None for any free one.
    """

    engine: Engine
    hospitals: str
    rounds: int
    seed: int
    folder: Path
    data: Path
    table: bytes
    plain: bool
    drop: int
    port: int | None
