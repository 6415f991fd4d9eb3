"""Messages whose time is over: written down once, and held against the SuperNode until it goes on."""

from __future__ import annotations

import hashlib
import sqlite3
import time

import httpx
import pytest
from flwr.proto import fleet_pb2
from flwr.proto.node_pb2 import Node

from clients.errors import NodeStateError
from clients.gateway.delivery import SLEWED_S, Proven
from clients.gateway.gateway import Gateway
from clients.gateway.overdue import REASON
from clients.gateway.questions import Questions
from clients.gateway.server import server
from coordinator.engines.ports import reserve
from tests.simulators.fleet import RUN, FleetInMemory, Log, ScriptedHolder, SuperNode, bundle
from tests.unit.clients.gateway.test_http import running

OVER_S = 601.0
"""Messages of the simulator live for ten minutes."""

PULL = fleet_pb2.PullMessagesRequest(node=Node(node_id=1))


class FullDisk(Log):
    """Cannot write while its disk is full."""

    full = False

    def record(self, event: str, **facts: str | int) -> None:
        if self.full:
            raise NodeStateError("outgoing.jsonl could not be written in full.", fix="Make room.")
        super().record(event, **facts)


class House:
    """A gateway whose clock the test moves; a SuperNode holds one message."""

    def __init__(self, folder) -> None:
        content = bundle()
        self.later, self.off, self.log, self.path = 0.0, 0.0, FullDisk(), folder / "gateway.sqlite"
        self.superlink = FleetInMemory(content)
        self.holder = ScriptedHolder(accepted={hashlib.sha256(content).digest()})
        self.start()
        self.node.activate()
        self.message = self.superlink.send("train")
        assert self.node.pull() is not None

    def start(self) -> None:
        self.questions = Questions(self.path)
        self.gateway = Gateway(
            self.holder,
            self.superlink,
            self.questions,
            self.log,
            clock=self.clock,
            steady=lambda: time.monotonic() + self.later,
        )
        self.node = SuperNode(self.gateway)

    def clock(self) -> float:
        return time.time() + self.later + self.off

    def hang(self) -> None:
        self.later = OVER_S
        self.gateway.overdue.look()

    def close(self) -> None:
        self.gateway.close()
        self.questions.close()


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def test_a_message_whose_time_is_over_is_written_down_once(house):
    house.gateway.overdue.look()
    assert house.log.of("message-overdue") == [] and not house.gateway.overdue.held, "it has time"
    house.hang()
    house.hang()
    name = house.message.metadata.message_id
    assert house.log.of("message-overdue") == [{"run": str(RUN), "message": name, "reason": REASON}]
    assert house.gateway.overdue.held
    assert house.questions.all_open() == (), "a late reply is refused"


def test_a_message_is_overdue_also_where_the_superlink_never_answered_this_gateway(house):
    house.close()
    house.start()
    house.superlink.down = 10**6
    house.hang()
    assert len(house.log.of("message-overdue")) == 1 and house.gateway.overdue.held
    house.superlink.down = 0


def test_a_clock_that_is_set_wrong_makes_no_message_overdue(house):
    house.off = OVER_S
    house.gateway.overdue.look()
    assert house.log.of("message-overdue") == [] and len(house.questions.all_open()) == 1
    house.off = 0.0
    house.hang()
    assert len(house.log.of("message-overdue")) == 1


def test_what_the_gateway_knows_of_the_clock_is_there_for_who_looks_beside_it(house):
    def apart() -> float:
        return house.clock() - house.gateway._superlink.steady()

    assert not house.questions.clock_was_set(apart())
    house.off = OVER_S
    assert house.questions.clock_was_set(apart())
    house.node.pull()  # the SuperLink answers, so the clock was put right
    assert not house.questions.clock_was_set(apart())


def test_the_clock_is_noted_once_and_again_only_where_it_moved_and_not_at_every_call():
    """A note is a write that the disk must confirm, and calls come every few seconds."""
    noted, superlink, now = [], FleetInMemory(bundle()), {"clock": 5000.0, "steady": 0.0}

    def note(apart: float) -> None:
        noted.append(apart)
        if len(noted) == 1:
            raise sqlite3.OperationalError("database or disk is full")

    proven = Proven(superlink, lambda: now["clock"], lambda: now["steady"], note)

    def calls(moved: float = 0.0) -> None:
        now["clock"] += moved
        for _ in range(20):
            now["clock"] += 3.0
            now["steady"] += 3.0
            proven.call("pull-messages", PULL, fleet_pb2.PullMessagesResponse, 1 << 10)

    calls()
    assert noted == [5000.0, 5000.0], "what was not noted is noted at the next call"
    calls(moved=SLEWED_S - 1)
    assert len(noted) == 2
    calls(moved=1.0)
    calls(moved=-SLEWED_S)
    assert noted[2:] == [5000.0 + SLEWED_S, 5000.0]


def test_a_supernode_that_asks_for_its_next_message_goes_on(house):
    house.hang()
    assert house.node.pull() is None
    assert not house.gateway.overdue.held
    house.gateway.overdue.look()
    assert not house.gateway.overdue.held and len(house.log.of("message-overdue")) == 1


def test_it_is_held_against_the_supernode_by_the_next_gateway_too_until_a_new_one_comes(house):
    house.hang()
    house.close()
    house.start()
    assert house.gateway.overdue.held
    assert house.gateway.answer("register-node", b"").status == 200
    assert not house.gateway.overdue.held
    house.close()
    house.start()
    assert not house.gateway.overdue.held


def test_what_cannot_be_written_down_is_tried_again(house):
    house.log.full = True
    with pytest.raises(NodeStateError):
        house.hang()
    assert not house.gateway.overdue.held
    house.log.full = False
    house.hang()
    assert len(house.log.of("message-overdue")) == 1 and house.gateway.overdue.held


@pytest.mark.network
def test_the_health_check_of_the_supernode_tells_of_it_and_that_of_the_gateway_does_not(house):
    [port] = reserve([None])
    with (
        running(server(house.gateway, house.log, port)),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        seen = [client.get(path).status_code for path in ("/health", "/health/supernode")]
        house.hang()
        seen += [client.get(path).status_code for path in ("/health", "/health/supernode")]
        assert client.post("/health/supernode").status_code == 403
        house.node.pull()
        assert seen == [204, 204, 204, 503]
        assert client.get("/health/supernode").status_code == 204
    assert len(house.log.of("call-refused")) == 1, "being asked is no line"
