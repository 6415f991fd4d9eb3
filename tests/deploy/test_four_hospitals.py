"""The compose file of four hospitals, played without a container engine: started by health, one run, an audit, and every health check.

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
from ledger.audit.checks.table import CHECKS
from tests.deploy.conftest import Built
from tests.deploy.tools import COMPOSE, ROOT, program
from tests.simulators.patience import patient

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.network]

FILE = COMPOSE / "four-hospitals.yaml"
COMMAND_S = 600.0
HOSPITALS = ("1", "2", "3", "4")
PYTHON = "/opt/suture/bin/python3"
KERNELS = "import fl_core.secagg.kernels, fl_core.lattice.products"
"""Compiles all kernels into ``/cache``."""
SEAL = """
import time
from pathlib import Path
from coordinator.demo.settlement import seal_run
from fl_core.randomness import SystemRandomSource
seal_run(Path("/coordinator/run"), clock=lambda: int(time.time()), random=SystemRandomSource())
"""
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
FELT = {part: {*names, *(PARTS["supernodes"] if part == "nodes" else ())} for part, names in PARTS.items()}
"""Whose health checks fail with a part's: a SuperNode's asks its node too."""


@dataclass
class Story:
    """What happened."""

    file: dict[str, Any]
    told: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, dict[str, str]] = field(default_factory=dict)
    reached: dict[tuple[str, str], bool] = field(default_factory=dict)
    compiled: dict[str, list[str]] = field(default_factory=dict)
    status: str = ""
    log: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    sealed: tuple[int, str] = (1, "")
    audit: tuple[int, str] = (1, "")
    lines: str = ""

    def of(self, event: str) -> list[dict[str, Any]]:
        return [one for one in self.events if one["event"] == event]

    def unhealthy(self, when: str) -> set[str]:
        return {name for name, why in self.answers[when].items() if why}


def command(*words: object, **environment: str) -> str:
    """Run a command on this machine."""
    done = subprocess.run(
        list(map(str, words)), cwd=ROOT, env={**os.environ, **environment},
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=patient(COMMAND_S),
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
        play(story, built, ask, network, made["start"])
    except (AssertionError, RuntimeError) as error:
        raise AssertionError(f"{error}\n{logs(ask)}") from error
    yield story


Ask = Callable[..., Any]


def play(story: Story, built: Built, ask: Ask, network: Path, start: str) -> None:
    """Start everything, play the run, freeze and kill each part; then audit what is left."""
    ask("fill_caches", name="node-1", command=[PYTHON, "-c", KERNELS])
    story.told = [(kind, name) for kind, name in ask("up")]
    story.answers["up"] = ask("answers", names=sorted(SERVICES))
    story.reached = reached(ask)
    run(story, ask, start, network / "coordinator" / "run")
    story.compiled = {
        name: ask("execute", name=name, command=["find", "/tmp", "/cache", "-name", "*.nbi"])[1].split()
        for name in ("node-1", *PARTS["supernodes"])
    }
    story.lines = "".join((network / "nodes" / n / "outgoing.jsonl").read_text() for n in HOSPITALS)
    for part, names in PARTS.items():
        ask("signal", names=names, which="SIGSTOP")
        story.answers[f"{part} frozen"] = ask("answers", names=sorted(SERVICES))
        ask("signal", names=names, which="SIGCONT")
    story.answers["thawed"] = ask("answers", names=sorted(SERVICES))
    for part in reversed(PARTS):
        ask("signal", names=PARTS[part], which="SIGKILL")
        story.answers[f"{part} killed"] = ask("answers", names=PARTS[part])
    sealed_and_audited(story, built, network / "coordinator")


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
    origins = ("superlink", "relay", "node-1", "gateway-1", "supernode-1")
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


def sealed_and_audited(story: Story, built: Built, coordinator: Path) -> None:
    """Seal the public folder in the coordinator's image, where a folder that nobody writes to is needed; audit it in the auditor's."""
    cache = (str(built.host.folder / "composed" / "volumes" / "cache-relay"), "/cache", "rw")
    how = {"read_only": True, "confined": True, "tmpfs": {"/tmp": "mode=1777"}}
    story.sealed = built.host.ask(
        "run", image="coordinator", entrypoint=[PYTHON], command=["-c", SEAL], **how,
        mounts=[(str(coordinator), "/coordinator", "rw"), cache],
    )  # fmt: skip
    story.audit = built.host.ask(
        "run", image="auditor", command=["verify", "public", "--json"], **how,
        mounts=[(str(coordinator / "run" / "public"), "/audit/public", "ro"), cache],
    )  # fmt: skip


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


def test_only_training_code_reaches_the_gateway_and_a_hospital_the_coordinator_only(story: Story) -> None:
    assert {pair for pair, there in story.reached.items() if there} == {
        ("superlink", "relay"), ("relay", "superlink"),
        ("node-1", "superlink"), ("node-1", "relay"),
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


def test_the_auditors_image_makes_every_check_on_the_sealed_folder_and_all_pass(story: Story) -> None:
    assert story.sealed[0] == 0, story.sealed
    code, said = story.audit
    assert code == 0, said
    report = json.loads(said)
    assert report["passed"] is True
    assert [(check["name"], check["verdict"]) for check in report["checks"]] == [
        (check.name, "pass") for check in CHECKS
    ]


def test_a_supernode_compiles_nothing_also_in_a_run(story: Story) -> None:
    assert story.compiled.pop("node-1"), "the node has its kernels"
    assert set(story.compiled) == set(PARTS["supernodes"])
    assert not any(story.compiled.values())


# ---------------------------------------------------------------------- every health check


@pytest.mark.parametrize("part", PARTS)
def test_health_checks_fail_while_a_service_is_frozen_and_no_others_do(story: Story, part: str) -> None:
    assert story.unhealthy(f"{part} frozen") == FELT[part]


def test_every_service_is_healthy_again_when_it_goes_on(story: Story) -> None:
    assert story.unhealthy("thawed") == set()


@pytest.mark.parametrize("part", PARTS)
def test_health_checks_fail_when_a_service_was_killed(story: Story, part: str) -> None:
    assert story.unhealthy(f"{part} killed") == set(PARTS[part])
    assert all("does not answer" in why for why in story.answers[f"{part} killed"].values())
