"""Fixtures of several suites, and the option by which every wait for a real process is multiplied."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulators.anvil import Anvil
from tests.simulators.patience import set_patience


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--patience", type=float, default=1.0, metavar="N", help="wait N times as long for real processes"
    )


def pytest_configure(config: pytest.Config) -> None:
    set_patience(config.getoption("--patience", default=1.0))


@pytest.fixture
def anvil() -> Iterator[Anvil]:
    """A fresh node with free gas on chain 4242; ends with the test."""
    with Anvil() as node:
        yield node
