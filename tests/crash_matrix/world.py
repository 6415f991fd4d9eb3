"""One point of the matrix, from a founded run to the verdict of the audit. Every party is a process of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

from coordinator.demo.consortium import REWARD_PER_ROUND
from coordinator.demo.settlement import seal_run
from coordinator.engines.ports import reserve
from coordinator.store.events import EventTail
from fl_core.protocol.terms import BY_EXAMPLES
from fl_core.randomness import SystemRandomSource
from ledger.audit.node_access import open_nodes
from tests.crash_matrix.checks import check_audit, check_ledger, check_nodes, check_plaintext
from tests.crash_matrix.points import CHAIN, COORDINATOR, NODE, ROUNDS, Point
from tests.simulators.founded_run import copied, cosign_and_seal, found, now
from tests.simulators.killable import Killable
from tests.simulators.patience import patient
from tests.simulators.process_tree import becomes

CHAIN_ID = 4242
END_S = 600.0
LONG_S = 30.0
"""A chain that is away so long is asked many times: somebody waited for half of the time at least."""
FILE = "chain.sqlite"


class Founded:
    """Founded runs on embedded chains, and on a chain behind a process of its own; points work on copies."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.killable = folder, Killable()
        [self.port] = reserve([None])
        self._embedded: dict[str, Path] = {}
        self._external: dict[str, Path] = {}

    def embedded(self, rewards: str) -> Path:
        """Return a run on an embedded chain with this reward policy; it is founded once."""
        if rewards not in self._embedded:
            self._embedded[rewards] = found(self.folder / f"in-{rewards}", rounds=3 * ROUNDS, rewards=rewards)
        return self._embedded[rewards]

    def external(self, rewards: str) -> Path:
        """Return the folder of a run on a chain behind a process; the chain's file lies beside the run's folder."""
        if rewards not in self._external:
            place = self.folder / f"out-{rewards}"
            place.mkdir()
            chain = self.start_chain(place)
            try:
                found(place / "run", rounds=3 * ROUNDS, node=self.url, rewards=rewards)
            finally:
                os.kill(chain, signal.SIGKILL)
                self.killable.ended(chain)
            self._external[rewards] = place
        return self._external[rewards]

    @property
    def url(self) -> str:
        """Where the chain of its own answers."""
        return f"http://127.0.0.1:{self.port}"

    def start_chain(self, place: Path) -> int:
        """Start the chain's process on the file in ``place``."""
        place.joinpath("tmp").mkdir(exist_ok=True)
        return self.killable.start(
            "chain", file=str(place / FILE), port=self.port, chain_id=CHAIN_ID,
            log=str(place / "chain.log"), temporary=str(place / "tmp"),
        )  # fmt: skip

    def close(self) -> None:
        """End every process."""
        self.killable.close()


class World:
    """A copy of a founded run with its processes.

    Args:
        founded: What is copied.
        place: An empty folder.
        external: Whether the chain is a process of its own.
        rewards: The run's reward policy.
    """

    def __init__(self, founded: Founded, place: Path, *, external: bool, rewards: str) -> None:
        self.founded, self.place, self.external = founded, place, external
        self.killable = founded.killable
        origin = founded.external(rewards) / "run" if external else founded.embedded(rewards)
        self.folder = copied(origin, place / "run").resolve()
        self.tap = place / "tap"
        self.tap.touch()
        self.running: dict[str, int] = {}
        self.killed = False
        self.folder.joinpath("tmp").mkdir()
        if external:
            for file in origin.parent.glob(f"{FILE}*"):
                shutil.copy(file, place / file.name)
            self.running[CHAIN] = founded.start_chain(place)
        self.nodes = sorted((self.folder / "nodes").iterdir())
        for index in range(len(self.nodes)):
            self.start_node(index)
        assert becomes(lambda: all((place / f"{i}.sock").exists() for i in range(len(self.nodes))), END_S)

    def start_node(self, index: int) -> None:
        """The operator's command, or the supervisor's."""
        self.running[f"{NODE}-{index}"] = self.killable.start(
            NODE,
            folder=str(self.nodes[index]),
            socket=str(self.place / f"{index}.sock"),
            **self._common(f"node-{index}"),
        )

    def _common(self, name: str) -> dict[str, str]:
        return {
            "tap": str(self.tap),
            "log": str(self.place / f"{name}.log"),
            "temporary": str(self.folder / "tmp"),
        }

    def command(self, kind: str, point: Point | None) -> int:
        """Run the coordinator's command to its end, and start the party that ``point`` kills again; return the exit status."""
        party = "" if point is None else f"{NODE}-1" if point.party == NODE else point.party
        arguments = {
            "folder": str(self.folder),
            "doors": [f"unix:{self.place / f'{i}.sock'}" for i in range(len(self.nodes))],
            "rounds": ROUNDS if point is None else point.rounds,
            "moment": "" if point is None else point.moment,
            "occurrence": 0 if point is None else point.occurrence,
            "victim": self.running.get(party, 0),
        }
        process = self.killable.start(kind, **arguments, **self._common(kind))
        end = time.monotonic() + patient(END_S)
        while (status := self.killable.poll(process)) is None:
            if time.monotonic() > end:
                os.kill(process, signal.SIGKILL)
                self.killable.ended(process)
                raise AssertionError(f"{kind} did not end: {self.log(kind)}")
            self._restart(party, point)
            time.sleep(0.02)
        self._restart(party, point)  # it may have died at the very end
        return status

    def _restart(self, party: str, point: Point | None) -> None:
        if point is None or self.killed or party not in self.running:
            return
        status = self.killable.poll(self.running[party])
        if status is None:
            return
        assert status == -signal.SIGKILL, f"{party} ended by itself: {self.log(party)}"
        assert not self.killed, f"{party} died twice"
        self.killed = True
        time.sleep(point.away_s)
        if point.party == CHAIN:
            self.running[CHAIN] = self.founded.start_chain(self.place)
        else:
            self.start_node(1)

    def log(self, name: str) -> str:
        """The end of a process's output."""
        file = self.place / f"{name}.log"
        return file.read_text()[-3000:] if file.exists() else ""

    def end(self) -> None:
        """End the nodes in their own way, so that their folders are at rest; the chain goes on, for the audit reads it."""
        self._end([name for name in self.running if name != CHAIN])

    def close(self) -> None:
        """End everything; again does no harm."""
        self._end(list(self.running))

    def _end(self, names: list[str]) -> None:
        for name in names:
            process = self.running.pop(name)
            os.kill(process, signal.SIGKILL if name == CHAIN else signal.SIGTERM)
            self.killable.ended(process)


def play(founded: Founded, place: Path, point: Point) -> dict[str, object]:
    """Play one point and check everything that must hold after it; return what happened, for the table."""
    world = World(founded, place, external=point.party == CHAIN, rewards=point.rewards)
    try:
        began = time.monotonic()
        resumed = _rounds(world, point)
        world.end()
        resumed += _settlement(world, point)
        if point.party != COORDINATOR:
            assert world.killed, "the moment never came"
        finalised = check_ledger(world.folder, fewest=point.rounds - 1, per_round=REWARD_PER_ROUND)
        if point.party == CHAIN:
            _check_said_that_it_waits(world, point.away_s)
        check_nodes(world.nodes, opens_weights=point.rewards == BY_EXAMPLES)
        looked_for = check_plaintext(place, world.tap, world.nodes)
        _seal(world)
        node = open_nodes([founded.url], world.folder) if world.external else None
        check_audit(world.folder, world.nodes, node)
    finally:
        world.close()
    return {
        "party": point.party,
        "phase": point.phase,
        "moment": point.moment,
        "away_s": point.away_s if point.party != COORDINATOR else 0,
        "commands_again": resumed,
        "models": finalised,
        "bytes_looked_for": looked_for,
        "seconds": round(time.monotonic() - began, 1),
    }


def _rounds(world: World, point: Point) -> int:
    """Run the rounds; return how many commands had to be given again."""
    status = world.command("coordinator", None if point.settles else point)
    if point.party != COORDINATOR or point.settles:
        assert status == 0, world.log("coordinator")
        return 0
    assert status == -signal.SIGKILL, "the moment never came"
    assert world.command("coordinator", None) == 0, world.log("coordinator")
    return 1


def _settlement(world: World, point: Point) -> int:
    if not point.settles:
        assert world.command("settlement", None) == 0, world.log("settlement")
        return 0
    status = world.command("settlement", point)
    if point.party != COORDINATOR:
        assert status == 0, world.log("settlement")
        return 0
    assert status == -signal.SIGKILL, "the moment never came"
    assert world.command("settlement", None) == 0, world.log("settlement")
    return 1


def _check_said_that_it_waits(world: World, away_s: float) -> None:
    """Whoever asks a chain that is away says so and for how long: the coordinator in its events, a node in its log."""
    events = EventTail(world.folder / "coordinator" / "events.jsonl").new()
    waited = [int(event["seconds"]) for event in events if event["event"] == "ledger-away"]
    for index in range(len(world.nodes)):
        log = (world.place / f"{NODE}-{index}.log").read_text()
        waited.extend(map(int, re.findall(r"ledger's node has been away for (\d+) s", log)))
    assert waited, "nobody said that it waits"
    assert max(waited) >= away_s / 2 or away_s < LONG_S, f"{max(waited)} s of {away_s} s were waited"


def _seal(world: World) -> None:
    """An embedded chain is co-signed by its members; both kinds of folder are sealed."""
    if world.external:
        seal_run(world.folder, clock=now, random=SystemRandomSource())
    else:
        cosign_and_seal(world.folder)


def as_json(results: list[dict[str, object]]) -> str:
    """The results as a file."""
    return json.dumps({"points": results}, indent=1) + "\n"
