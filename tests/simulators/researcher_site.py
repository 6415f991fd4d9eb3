"""A consortium with all its services running, as a researcher finds it, and the commands that the researcher types there."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator.launch.state import LaunchFolder, Step
from tests.simulators.consortium_of_people import People
from tests.simulators.federation import Federation
from tests.simulators.patience import ending, output_of, patient
from tests.simulators.process_tree import becomes
from tests.simulators.tap import write_tap

LAUNCH_S, COMMAND_S = 600.0, 900.0
TAP = "tap"


@dataclass
class Site:
    """A consortium with its services running, and what the researcher types there."""

    people: People
    federation: Federation
    said: dict[str, Any] = field(default_factory=dict)

    def suture(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Run a command of the researcher to its end."""
        process = self.started(*words)
        with ending(process):
            out, err = output_of(process, COMMAND_S)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def started(self, *words: object) -> subprocess.Popen[str]:
        program = "from coordinator.cli import main; main()"
        return subprocess.Popen(
            [sys.executable, "-P", "-c", program, *map(str, words)],
            env=self.federation.environment(), cwd=self.people.folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def told(self, *words: object) -> dict:
        """Run a command that must succeed, with ``--json``."""
        done = self.suture(*words, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict = json.loads(done.stdout)
        return answer

    def launch(self) -> dict:
        """Launch the run in one go: the hospitals consent while the command waits."""
        launching = self.started("launch", self.people.run_file, "--yes", "--json")
        with ending(launching):
            launched = LaunchFolder(self.people.run)
            waits = becomes(
                lambda: (
                    launching.poll() is not None
                    or (launched.exists() and launched.read().step == Step.CREATED.value)
                ),
                LAUNCH_S,
            )
            if waits and launching.poll() is None:
                self.people.consent()
            out, err = output_of(launching, LAUNCH_S)
        assert launching.returncode == 0, out + err
        answer: dict = json.loads(out)
        return answer


@contextmanager
def served(
    *,
    rounds: int,
    relay: bool = True,
    patience: float = 1.0,
    tapped: bool = False,
    chain: str = "",
    hospitals: str = "",
) -> Iterator[Site]:
    """Found a consortium and start SuperLink, relay and hospitals; the run file is written and nothing is launched.

    Args:
        rounds: As for :meth:`People.found`.
        relay: As for it.
        patience: As for it; ``--patience`` multiplies it.
        tapped: Whether every process notes in the folder's file ``tap`` what must not lie on a disk in the clear.
        chain: As for :class:`~tests.simulators.consortium_of_people.People`.
        hospitals: As for it.
    """
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        folder = Path(name)
        first = write_tap(folder / "first", folder / TAP) if tapped else None
        people = People(folder, chain, hospitals)
        people.found(rounds, relay=relay, patience=patient(patience))
        federation = Federation(folder, people.run, far=False, nodes=people.nodes, first=first)
        try:
            federation.start_superlink()
            federation.start_relay("--ledger", people.ledger)
            federation.join()
            yield Site(people, federation)
        finally:
            federation.close()
