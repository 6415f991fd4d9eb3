"""Fixtures of the contract tests: a fresh consortium for every test (about 10 ms; about 40 ms on a real node)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.anvil_engine import OPTIONS, AnvilEngine
from tests.contracts.world import World
from tests.simulators.anvil import Anvil

ENGINES = ["revm", pytest.param("anvil", marks=[pytest.mark.anvil, pytest.mark.network])]


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A ledger that seven members founded, and its token; no keys, no run."""
    if request.param == "revm":
        yield World()
    else:
        with Anvil(**OPTIONS) as node:
            yield World(AnvilEngine(node))


@pytest.fixture
def run(world: World) -> bytes:
    """A run with escrow that all four holders have accepted, and a root to train from."""
    return world.ready_run()
