"""People at a terminal, and an office whose ledger is on every kind of chain; a file that needs others has its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulators.office import CHAINS, Office, chain_of, opened
from tests.simulators.terminal import Terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A terminal in whose environment nobody has said anything about a ledger."""
    for variable in (
        "SUTURE_LEDGER",
        "SUTURE_ACCOUNT",
        "SUTURE_NODE_PASSPHRASE",
        "SUTURE_NODE_PASSPHRASE_FILE",
    ):
        monkeypatch.delenv(variable, raising=False)
    return Terminal(monkeypatch, capsys)


@pytest.fixture(params=CHAINS)
def office(tmp_path: Path, terminal: Terminal, request: pytest.FixtureRequest) -> Office:
    """A new office, on an embedded chain and on a real node."""
    return opened(tmp_path / "office", terminal, chain_of(request))


@pytest.fixture
def embedded_office(tmp_path: Path, terminal: Terminal) -> Office:
    """For what only an embedded chain has: a file."""
    return opened(tmp_path / "office", terminal)
