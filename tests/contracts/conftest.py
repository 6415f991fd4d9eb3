"""Fixtures of the contract tests: a fresh consortium for every test (about 10 ms)."""

from __future__ import annotations

import pytest

from tests.contracts.world import World


@pytest.fixture
def world() -> World:
    """A ledger that seven members founded, and its token; no keys, no run."""
    return World()


@pytest.fixture
def run(world: World) -> bytes:
    """A run with escrow that all four holders have accepted, and a root to train from."""
    return world.ready_run()
