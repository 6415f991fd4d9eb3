"""Fixtures of several suites: a real node, where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulators.anvil import Anvil


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    """A fresh node with free gas on chain 4242; ends with the test."""
    with Anvil() as node:
        yield node
