"""The compose file of four hospitals, played without a container engine: started by health, and one run to its end.

One story for all tests of this file: ``suture rehearse`` makes the network's folder as docs/how-to/containers.md says it, docker-compose reads the
file that stands in ``deploy/compose``, :mod:`tests.simulators.compose` plays what it reads on the images of the Dockerfile. Each service has a
read-only root, its own user without capabilities, and the networks of the file. About four minutes on two cores, after the images.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coordinator.engines.flower_commands import CONNECTION, read_run_id, read_status
from tests.deploy.conftest import Built
from tests.deploy.tools import COMPOSE, ROOT, program

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.network]

FILE = COMPOSE / "four-hospitals.yaml"
HOSPITALS = ("1", "2", "3", "4")
PYTHON = "/opt/suture/bin/python3"
KERNELS = "import fl_core.secagg.kernels, fl_core.lattice.products"
"""Compiles all kernels into ``/cache``."""
FLOWER = ("env", "FLWR_HOME=/coordinator/superlink/flower", "flwr")
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3.0)"
PARTS = {
    "superlink": ("superlink",),
    "relay": ("relay",),
    "nodes": tuple(f"node-{n}" for n in HOSPITALS),
    "gateways": tuple(f"gateway-{n}" for n in HOSPITALS),
    "supernodes": tuple(f"supernode-{n}" for n in HOSPITALS),
}
SERVICES = frozenset(name for names in PARTS.values() for name in names)


@dataclass
class Story:
    """What happened."""

    file: dict[str, Any]
    told: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    reached: dict[tuple[str, str], bool] = field(default_factory=dict)
    status: str = ""
    log: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    lines: str = ""

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]

    def unhealthy(self, when: str) -> set[str]:
        return {name for name, why in self.answers[when].items() if why}


def command(*words: object, **environment: str) -> str:
    """Run a command on this machine."""
    done = subprocess.run(
        list(map(str, words)), cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def story(built: Built) -> Iterator[Story]:
    reader, network = program("docker-compose"), built.host.folder / "network"
    suture = [sys.executable, "-P", "-c", "from coordinator.cli import main; main()"]
    made = json.loads(command(*suture, "rehearse", network, "--rounds", 1, "--json"))
    read = command(reader, "--env-file", network / ".env", "--file", FILE, "config", "--format", "json")
    story = Story(file=json.loads(read))
    built.host.ask("compose", file=story.file)

    def ask(method: str, **how: Any) -> Any:
        return built.host.ask("composed", method=method, how=how)

    try:
        play(story, ask, network, made["start"])
    except (AssertionError, RuntimeError) as error:
        raise AssertionError(f"{error}\n{logs(ask)}") from error
    yield story


Ask = Callable[..., Any]


def play(story: Story, ask: Ask, network: Path, start: str) -> None:
    """Start everything and play the run."""
    ask("fill_caches", name="node-1", command=[PYTHON, "-c", KERNELS])
    story.told = [(kind, name) for kind, name in ask("up")]
    story.answers["up"] = ask("answers", names=sorted(SERVICES))
    story.reached = reached(ask)
    run(story, ask, start, network / "coordinator" / "run")
    story.lines = "".join((network / "nodes" / n / "outgoing.jsonl").read_text() for n in HOSPITALS)


def logs(ask: Ask) -> str:
    return "\n".join(f"--- {name}\n{ask('log', name=name)[-1500:]}" for name in sorted(SERVICES))


def reached(ask: Ask) -> dict[tuple[str, str], bool]:
    """Try connections from the containers of the first hospital to where something listens."""

    def connects(origin: str, target: str, port: int) -> bool:
        tries = [
            ask("execute", name=origin, command=[PYTHON, "-c", CONNECT, address, str(port)])
            for address in ask("addresses", name=target).values()
        ]
        return any(code == 0 for code, _, _ in tries)

    ports = {"superlink": 9092, "relay": 9443, "gateway-1": 9093, "gateway-2": 9093}
    origins = ("node-1", "gateway-1", "supernode-1")
    return {(a, b): connects(a, b, port) for a in origins for b, port in ports.items() if a != b}


def run(story: Story, ask: Ask, start: str, folder: Path) -> None:
    """Start the run by the command that ``suture rehearse`` prints, and wait for its end."""

    def inside(words: Sequence[str]) -> str:
        code, out, err = ask("execute", name="superlink", command=list(words))
        assert code == 0, out + err
        return str(out)

    number = str(read_run_id(inside([*start.split(), "--format", "json"])))
    story.log = inside([*FLOWER, "log", number, CONNECTION, "--stream"])
    story.status = read_status(inside([*FLOWER, "list", CONNECTION, "--run-id", number, "--format", "json"]))
    events = folder / "coordinator" / "events.jsonl"
    story.events = [json.loads(line) for line in events.read_text().splitlines()]


# ---------------------------------------------------------------------- the start


def test_the_file_was_played_as_a_whole(story: Story) -> None:
    assert set(story.file["services"]) == SERVICES
    assert {name for kind, name in story.told if kind == "healthy"} == SERVICES


def test_a_service_starts_when_those_that_it_depends_on_are_healthy(story: Story) -> None:
    for name, one in story.file["services"].items():
        for before in one.get("depends_on", ()):
            assert story.told.index(("healthy", before)) < story.told.index(("started", name))
    for number in HOSPITALS:
        chain = [f"node-{number}", f"gateway-{number}", f"supernode-{number}"]
        assert sorted(chain, key=lambda name: story.told.index(("started", name))) == chain


def test_every_service_is_healthy_when_all_are_up(story: Story) -> None:
    assert story.unhealthy("up") == set()


def test_training_code_reaches_the_gateway_and_a_hospital_the_coordinator_only(story: Story) -> None:
    assert {pair for pair, there in story.reached.items() if there} == {
        ("node-1", "superlink"), ("node-1", "relay"), ("node-1", "gateway-1"),
        ("gateway-1", "superlink"), ("gateway-1", "relay"),
        ("supernode-1", "gateway-1"),
    }  # fmt: skip


# ---------------------------------------------------------------------- the run


def test_the_run_ends_with_all_four_hospitals_and_nobody_blamed(story: Story) -> None:
    assert story.status == "finished:completed", story.log[-3000:]
    assert [(one["round"], one["included"], one["blamed"]) for one in story.of("round-finalised")] == [
        (1, 4, [])
    ]


def test_health_checks_are_no_lines_of_the_gateways(story: Story) -> None:
    assert '"reply-sent"' in story.lines
    assert "call-refused" not in story.lines
