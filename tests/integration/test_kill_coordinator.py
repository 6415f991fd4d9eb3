"""A coordinator that is killed with SIGKILL, wherever it is, loses no model, doubles none, and can go on."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clients.door import Method
from clients.node.house import open_house, open_node
from clients.node.server import NodeServer
from clients.node.service import Node
from coordinator.context import RunContext
from coordinator.demo.consortium import CHAIN_ID, REWARD_PER_ROUND
from coordinator.demo.settlement import settle_rewards
from coordinator.history import MAX_MODEL_BYTES, newest_model, settle
from coordinator.store.events import EventTail
from fl_core.protocol.messages import Reveal
from fl_core.randomness import SystemRandomSource
from ledger.audit.findings import Verdict
from ledger.audit.verify import verify
from ledger.chain.embedded import open_embedded, replay
from ledger.papers import RoundPaper
from ledger.records import RoundState
from tests.simulators.founded_run import coordinator_of, copied, cosign_and_seal, found, now
from tests.simulators.killable import Killable

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and kills")

SECONDS = 2.5
"""A coordinator is killed within this time after its start: about two rounds."""
EFFECTS = 110
"""... or right before one of its first so many file effects: about two rounds."""
ROUNDS_EACH = 9
"""Rounds that a coordinator would try: more than fit into the time that it has."""


@dataclass
class Watched:
    """A node, and a note of everything that left it."""

    node: Node
    frames: list[bytes] = field(default_factory=list)
    reveals: list[bytes] = field(default_factory=list)

    def call(self, method: Method, payload: bytes) -> bytes:
        answer = self.node.call(method, payload)
        if method is Method.PROTECT:
            self.frames.append(answer)
        if method is Method.REVEAL:
            self.reveals.append(answer)
        return answer


class Nodes:
    """The hospitals' nodes of a run behind sockets, in this process, which is never killed."""

    def __init__(self, folder: Path, sockets: Path) -> None:
        self.watched: list[Watched] = []
        self._servers: list[NodeServer] = []
        self.doors: list[str] = []
        for index, place in enumerate(sorted((folder / "nodes").iterdir())):
            one = Watched(open_node(open_house(place), clock=now, random=SystemRandomSource()))
            server = NodeServer(one, sockets / f"{index}.sock")  # type: ignore[arg-type]  # it has the node's call
            server.start()
            self.watched.append(one)
            self._servers.append(server)
            self.doors.append(f"unix:{sockets / f'{index}.sock'}")

    def close(self) -> None:
        """Close everything; again does no harm."""
        for server, one in zip(self._servers, self.watched, strict=True):
            server.close()
            one.node.close()
        self._servers.clear()
        self.watched.clear()


@pytest.fixture(scope="module")
def coordinators() -> Iterator[Killable]:
    one = Killable()
    yield one
    one.close()


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found(tmp_path_factory.mktemp("founded") / "run", rounds=400)


@pytest.fixture
def folder(founded: Path, tmp_path: Path) -> Path:
    return copied(founded, tmp_path / "run").resolve()


@pytest.fixture
def nodes(folder: Path) -> Iterator[Nodes]:
    with tempfile.TemporaryDirectory(prefix="suture-") as sockets:
        one = Nodes(folder, Path(sockets))
        yield one
        one.close()


# ---------------------------------------------------------------------- what must hold after every kill


def settled(folder: Path) -> int:
    """Reopen the run as its coordinator does, settle it, check it, and return how many rounds made a model."""
    with coordinator_of(folder) as run:
        settle(run, run.reader.run(run.run).opened)
        return check(run, acknowledged(folder))


def acknowledged(folder: Path) -> set[int]:
    """The rounds of which the coordinator had said that they made a model."""
    events = EventTail(folder / "coordinator" / "events.jsonl").new()
    return {event["round"] for event in events if event["event"] == "round-finalised"}


def check(run: RunContext, said: set[int]) -> int:
    rounds = {n: run.reader.round(run.run, n) for n in range(1, run.reader.run(run.run).opened + 1)}
    assert {record.state for record in rounds.values()} <= {RoundState.FINALISED, RoundState.ABORTED}
    made = [n for n, record in rounds.items() if record.state is RoundState.FINALISED]
    assert said <= set(made), "no model is lost"
    assert run.reader.run(run.run).finalised == len(made)
    papers = sorted(path.name for path in run.public.round(1).parent.glob("*"))
    assert papers == [run.public.round(n).name for n in made], (
        "one paper for each finalised round, and no other file"
    )
    check_chain_of_models(run, made)
    return len(made)


def check_chain_of_models(run: RunContext, made: list[int]) -> None:
    """Each model has the one before as its parent, is in the archive, and the newest one is in the folder."""
    first = bytes.fromhex(run.terms.initial_model)
    parent, artifact = None, first
    for number in made:
        record = run.reader.round(run.run, number)
        paper = RoundPaper.decode(run.public.round(number).read_bytes())
        assert parent in (None, record.parent), "no model is doubled and none left out"
        assert run.reader.model(record.parent).artifact == artifact
        parent, artifact = record.model, run.reader.model(record.model).artifact
        assert paper.model == artifact.hex()
        run.archive.get(artifact, MAX_MODEL_BYTES)
    assert newest_model(run)[1] == artifact
    assert hashlib.sha256(run.public.model.read_bytes()).digest() == artifact


def check_nodes(nodes: Nodes) -> None:
    """No node ever sent two contributions to one round, or answers about two sets; no two sets were ever asked about."""
    sets = defaultdict(set)
    for one in nodes.watched:
        answers = defaultdict(set)
        for data in one.reveals:
            statement = Reveal.decode(data).statement
            answers[statement.round].add(statement.included)
            sets[statement.round].add(statement.included)
        assert all(len(included) == 1 for included in answers.values())
        rows = one.node.register._db.execute("SELECT round, COUNT(*) FROM headers GROUP BY run, round")
        assert all(count == 1 for _, count in rows)
        contributions = one.node.register._db.execute("SELECT COUNT(*) FROM contributions").fetchone()[0]
        assert len({hashlib.sha256(frame).digest() for frame in one.frames}) == contributions
    assert all(len(included) == 1 for included in sets.values())


def go_on_to_the_end(coordinators: Killable, folder: Path, nodes: Nodes) -> int:
    """Let a coordinator finish two rounds, pay and seal; return how many rounds made a model."""
    process = coordinators.coordinate(folder, nodes.doors, rounds=2, log=folder.parent / "last.log")
    assert coordinators.ended(process) == 0, (folder.parent / "last.log").read_text()
    made = settled(folder)
    check_nodes(nodes)
    nodes.close()  # a ledger that somebody reads is no single file yet, and only files can be sealed
    paid, finalised = settle_rewards(folder, clock=now, random=SystemRandomSource())
    assert finalised == made
    assert sum(paid.values()) == made * REWARD_PER_ROUND
    cosign_and_seal(folder)
    return made


class History:
    """The blocks that were the newest after each kill: none of them may ever be another one.

    What is there at the end is executed again from the first block on; that holds for what was there before, as its beginning.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "public" / "ledger.sqlite"
        self._heads: dict[int, bytes] = {}

    def check(self) -> None:
        with open_embedded(self._file, chain_id=CHAIN_ID, read_only=True) as chain:
            kept = {number: chain.header(number) for number in self._heads}
            assert {n: header and header.hash for n, header in kept.items()} == self._heads
            head = chain.head()
            self._heads[int(head.block_number)] = head.hash

    def execute_again(self) -> None:
        self.check()
        assert replay(self._file, chain_id=CHAIN_ID).head_number == max(self._heads)


def kill_many_times(coordinators: Killable, folder: Path, nodes: Nodes, *, kills: int, seed: int) -> None:
    rng, history = random.Random(seed), History(folder)
    log = folder.parent / "coordinator.log"
    killed = attempts = made = 0
    while killed < kills:
        attempts += 1
        assert attempts <= 3 * kills, log.read_text()
        effects = rng.randrange(1, EFFECTS) if attempts % 2 else 0
        process = coordinators.coordinate(folder, nodes.doors, rounds=ROUNDS_EACH, log=log, effects=effects)
        if not effects:
            time.sleep(rng.uniform(0.0, SECONDS))
            os.kill(process, signal.SIGKILL)  # it may have ended; it is there until somebody asks how
        status = coordinators.ended(process)
        assert status in (0, -signal.SIGKILL), (
            log.read_text()
        )  # 0: it had done its rounds before the moment came
        killed += status != 0
        before, made = made, settled(folder)
        assert made >= before
        check_nodes(nodes)
        history.check()
    assert go_on_to_the_end(coordinators, folder, nodes) == made + 2
    history.execute_again()
    report = verify(folder)
    assert report.passed, [outcome for outcome in report.outcomes if outcome.verdict is not Verdict.PASS]


def test_eight_kills_at_random_moments_lose_and_double_no_model(
    coordinators: Killable, folder: Path, nodes: Nodes
) -> None:
    kill_many_times(coordinators, folder, nodes, kills=8, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_forty_kills_at_random_moments_lose_and_double_no_model(
    coordinators: Killable, folder: Path, nodes: Nodes, seed: int
) -> None:
    kill_many_times(coordinators, folder, nodes, kills=40, seed=seed)


@pytest.mark.slow
def test_a_run_that_nobody_killed_passes_the_same_checks(
    coordinators: Killable, folder: Path, nodes: Nodes
) -> None:
    assert go_on_to_the_end(coordinators, folder, nodes) == 2
    assert verify(folder).passed
