"""A process that does not end is told by its name and the end of its log; bounds are multiplied by ``--patience``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.federation import Federation
from tests.simulators.patience import VARIABLE, exit_of, output_of, patient
from tests.simulators.process_tree import becomes

pytestmark = pytest.mark.e2e

SAYS = "it waits for a relay that is dead"
SLEEPS = f"import time; print('{SAYS}', flush=True); time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    """A relay that ends when it is told to, and a node that does not."""
    (tmp_path / "nodes").mkdir()
    one = Federation(tmp_path, tmp_path, far=False)
    for name, program in (("relay", SLEEPS), ("node-0", STUBBORN)):
        with (tmp_path / f"{name}.log").open("ab") as log:
            one.running[name] = subprocess.Popen([sys.executable, "-c", program], stdout=log)
    assert becomes(lambda: all(SAYS in one.log(name) for name in one.running), 60.0)
    yield one
    one.close()


def test_a_service_that_does_not_end_is_named_with_the_end_of_its_log(federation: Federation) -> None:
    with pytest.raises(AssertionError) as late:
        federation.stop(0.5)
    said = str(late.value)
    assert "not ended within" in said and "{'relay': -15}" in said
    assert said.endswith(f"--- the end of the log of node-0\n{SAYS}\n")


def test_services_that_end_are_told_by_their_exit_statuses(federation: Federation) -> None:
    federation.running["node-0"].kill()
    assert federation.stop() == {"relay": -15, "node-0": -9}
    assert exit_of(federation.running["relay"], lambda: federation.log("relay")) == -15


def test_a_command_that_does_not_end_is_killed_and_told_with_what_it_said() -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", SLEEPS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with command, pytest.raises(AssertionError, match=SAYS):
        output_of(command, 2.0)
    assert command.returncode == -9


def test_bounds_are_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2.5")
    assert patient(4.0) == 10.0
    monkeypatch.delenv(VARIABLE)
    assert patient(4.0) == 4.0
