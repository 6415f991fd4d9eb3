"""Coordinator, relay with TLS and four nodes as real processes: killed in the middle of their duties, the round completes."""

from __future__ import annotations

import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from clients.calls import BeginCall, ProtectCall
from clients.door import Method, SocketDoor
from clients.node.house import open_house
from coordinator.committee import RelayCommittee, Told
from coordinator.context import RunContext
from coordinator.engines.ports import reserve
from coordinator.history import MAX_MODEL_BYTES, newest_model
from coordinator.session import RoundSession
from coordinator.store.duties import FILE, Duties
from coordinator.strategy import REVEAL, SHARE_CHECK, WEIGHTS, Question
from fl_core.errors import SutureError
from fl_core.models import Tensors, decode_model, encode_model
from fl_core.protocol.relay import DutyKind
from tests.simulators.certificates import make_certificates
from tests.simulators.founded_run import DEADLINE_S, coordinator_of, found, now
from tests.simulators.patience import patient
from tests.simulators.process_tree import MARK, end_marked, marked

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]
WAIT_S = 600.0


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        yield Path(name)


class Processes:
    """The relay and the nodes of a run, each a process of its own."""

    def __init__(self, folder: Path, run: Path) -> None:
        self.folder, self.run = folder, run
        self.mark = secrets.token_hex(8)
        self.certificates = make_certificates(folder / "certificates")
        [self.port] = reserve([None])
        self.nodes = sorted((run / "nodes").iterdir())
        self.accounts = [open_house(node).account.address for node in self.nodes]
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def _start(self, name: str, module: str, *arguments: object) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        command = [sys.executable, "-P", "-m", module, *map(str, arguments)]
        environment = {"PYTHONPATH": str(ROOT), MARK: self.mark, "PATH": "/usr/bin:/bin"}
        self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        log.close()

    def start_relay(self) -> None:
        c = self.certificates
        self._start("relay", "coordinator.cli", "relay", self.run, "--certificate", c.certificate, "--key", c.key,
                    "--port", self.port)  # fmt: skip
        wait(lambda: socket.create_connection(("127.0.0.1", self.port), 1.0).close() is None)

    def start_node(self, position: int) -> None:
        path = self.folder / f"{position}.sock"
        self._start(f"node-{position}", "clients.cli", "serve", self.nodes[position], "--socket", path,
                    "--relay", f"https://127.0.0.1:{self.port}",
                    "--relay-certificates", self.certificates.authority)  # fmt: skip

    def door(self, position: int) -> SocketDoor:
        return SocketDoor(self.folder / f"{position}.sock", WAIT_S)

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        end_marked(self.mark)
        for process in self.running.values():
            process.wait()


def wait(ready) -> None:
    end = time.monotonic() + patient(WAIT_S)
    while True:
        try:
            if ready():
                return
        except (OSError, SutureError) as error:
            if time.monotonic() > end:
                raise AssertionError("not ready in time") from error
        assert time.monotonic() < end, "not ready in time"
        time.sleep(0.1)


def newest_tensors(context: RunContext) -> Tensors:
    _, artifact = newest_model(context)
    return decode_model(context.archive.get(artifact, MAX_MODEL_BYTES), MAX_MODEL_BYTES)


def contribute(processes: Processes, position: int, session: RoundSession) -> bytes:
    """Do what the glue does, through the node's socket."""
    door, header = processes.door(position), session.header
    door.call(Method.BEGIN, BeginCall(header=header.encode(), model=encode_model(session.tensors)).encode())
    call = ProtectCall(
        header=header.digest,
        update=np.full(header.parameters, 0.125, "<f4").tobytes(),
        examples=100,
        counters=(1, 2),
        prekeys=tuple(session.prekeys[seat.address].encode() for seat in header.committee),
    )
    return door.call(Method.PROTECT, call.encode())


def asked(
    duties: Duties, question: Question, session: RoundSession, disturb
) -> tuple[dict[bytes, bytes], list[Told]]:
    """Ask the committee while ``disturb`` happens to its members."""
    committee = RelayCommittee(duties, patience_s=patient(WAIT_S))
    requests = dict(question.requests(session))
    trouble = threading.Thread(target=disturb)
    trouble.start()
    told = list(committee.ask(question.asked, session.header.round, requests.items(), 4))
    trouble.join()
    assert [one.why for one in told if one.data is None] == []
    for one in told:
        question.take(session, one.data)
    return requests, told


def test_a_round_completes_over_the_relay_though_relay_and_nodes_are_killed_in_the_middle_of_their_duties(
    folder,
):
    run = found(folder / "run", rounds=1, rewards="by-examples")
    processes = Processes(folder, run)
    try:
        for position in range(4):
            processes.start_node(position)
        processes.start_relay()  # a node without a copy of the chain waits for it
        for position in range(4):
            wait(lambda p=position: processes.door(p).call(Method.STATUS, b""))
        with coordinator_of(run) as context:
            duties = Duties(context.private)
            committee = RelayCommittee(duties, patience_s=patient(WAIT_S))

            def all_told() -> bool:
                committee.learn(context.prekeys)
                return set(context.prekeys) == set(processes.accounts)

            wait(all_told)
            session = RoundSession(context, newest_tensors(context), processes.accounts, now() + DEADLINE_S)
            for position in range(4):
                session.accept(contribute(processes, position, session))
            session.commit()

            def relay_dies() -> None:
                processes.kill("relay")
                time.sleep(1.0)
                processes.start_relay()

            asked(duties, SHARE_CHECK, session, relay_dies)
            session.include()

            def node_dies() -> None:
                wait(lambda: answered(context.private, DutyKind.REVEAL) == 3)
                processes.kill("node-2")
                processes.start_node(2)

            def stopped(position: int) -> None:
                """It has its duty and cannot answer."""
                processes.running[f"node-{position}"].send_signal(signal.SIGSTOP)

            stopped(2)
            requests, told = asked(duties, REVEAL, session, node_dies)
            assert session.open().count == 4

            def relay_and_node_die() -> None:
                wait(lambda: answered(context.private, DutyKind.WEIGHT) == 3)
                for name in ("relay", "node-1"):
                    processes.kill(name)
                processes.start_relay()
                processes.start_node(1)

            stopped(1)
            weight_requests, weights = asked(duties, WEIGHTS, session, relay_and_node_die)
            assert session.unopened() == ()

            # Asked again, each node gives the bytes of the first time, and only those.
            for method, asked_for, answers in (
                (Method.REVEAL, requests, told),
                (Method.WEIGHT, weight_requests, weights),
            ):
                for one in answers:
                    position = processes.accounts.index(one.account)
                    wait(lambda p=position: processes.door(p).call(Method.STATUS, b""))
                    assert processes.door(position).call(method, asked_for[one.account]) == one.data
            duties.close()
    finally:
        processes.close()
    assert marked(processes.mark) == set()


def answered(folder: Path, kind: DutyKind) -> int:
    """How many members have answered a kind of duty, read beside coordinator and relay."""
    query = "SELECT COUNT(*) FROM answers JOIN duties USING (number) WHERE kind=?"
    with closing(sqlite3.connect(folder / FILE)) as db:
        return int(db.execute(query, (kind.value,)).fetchone()[0])
