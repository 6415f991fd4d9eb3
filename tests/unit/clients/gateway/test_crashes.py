"""The gateway when what is on either side of it dies: a SuperLink that is away for long, a SuperNode that was started anew."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest
from flwr.app import Array, ArrayRecord, RecordDict
from flwr.common.constant import ErrorCode
from flwr.proto import fleet_pb2, heartbeat_pb2

from clients.gateway.gateway import Gateway
from clients.gateway.questions import Questions
from fl_core.protocol import envelope
from tests.simulators.fleet import FleetInMemory, Log, ScriptedHolder, SuperNode, again, bundle, settle
from tests.simulators.process_tree import becomes

RUN_ENDED = 2007
"""Flower's number of the error."""


class House:
    """A gateway between a SuperLink and a SuperNode in memory, with a clock that pauses move."""

    def __init__(self, folder) -> None:
        self.superlink, self.log = FleetInMemory(bundle()), Log()
        self.holder = ScriptedHolder(accepted={hashlib.sha256(bundle()).digest()})
        self.ahead = 0.0
        self.questions = Questions(folder / "gateway.sqlite")
        self.gateway = Gateway(
            self.holder,
            self.superlink,
            self.questions,
            self.log,
            clock=lambda: time.time() + self.ahead,
            steady=lambda: time.monotonic() + self.ahead,
            pull_s=0.05,
        )
        self.gateway._replies.delivery._sleep = self.pause
        self.node = SuperNode(self.gateway)
        self.node.activate()

    def pause(self, seconds: float) -> None:
        self.ahead += seconds

    def asked(self, message_type: str = "train"):
        self.superlink.send(message_type)
        return self.pull()

    def pull(self):
        """Pull until there is something, as a SuperNode does."""
        assert becomes(lambda: self.pulled() is not None, 60.0)
        return self.found

    def pulled(self):
        self.found = self.node.pull()
        return self.found

    def frame(self) -> RecordDict:
        data = self.holder.seal("frame", b"sealed")
        return RecordDict(
            {envelope.SEALED: ArrayRecord({"frame": Array("uint8", (len(data),), "suture.sealed.v1", data)})}
        )


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.gateway.close()
    made.questions.close()


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503, 504])
def test_a_superlink_that_is_away_or_fails_for_minutes_gets_the_reply_when_it_is_well(house, status):
    asked, frame = house.asked(), house.frame()
    house.superlink.down, house.superlink.failing_with = 200, status
    house.node.push(asked, frame)
    while house.questions.leaving():
        again(house.gateway)
    assert house.superlink.reply().content[envelope.SEALED]["frame"].data == b"sealed"
    assert house.ahead >= 300, "of the 600 s that the message lives"


@pytest.mark.parametrize("status", [400, 403, 412, 413, 415])
def test_a_superlink_that_refuses_is_not_asked_again(house, status):
    asked, frame = house.asked(), house.frame()
    house.superlink.down, house.superlink.failing_with, house.superlink.number = 1, status, RUN_ENDED
    house.node.push(asked, frame)
    assert house.superlink.replies == [] and house.ahead == 0 and house.questions.leaving() == ()


HEARTBEAT = heartbeat_pb2.SendNodeHeartbeatRequest()


@pytest.mark.parametrize(
    ("status", "number", "told"), [(401, 0, 503), (403, 0, 503), (403, RUN_ENDED, 403), (500, 0, 503)]
)
def test_a_supernode_is_told_what_it_repeats_unless_flower_says_that_the_run_ended(
    house, status, number, told
):
    house.superlink.down, house.superlink.failing_with, house.superlink.number = 1, status, number
    assert house.node.refused("send-node-heartbeat", HEARTBEAT) == told
    house.node.call("send-node-heartbeat", HEARTBEAT, heartbeat_pb2.SendNodeHeartbeatResponse)


def test_a_supernode_that_starts_is_told_that_the_superlink_does_not_know_the_key(house):
    house.superlink.down, house.superlink.failing_with = 2, 401
    assert house.node.refused("activate-node", fleet_pb2.ActivateNodeRequest(public_key=b"own")) == 401


def test_a_superlink_that_stays_away_is_given_up_when_nobody_waits_for_the_reply_any_more(house):
    asked, frame = house.asked(), house.frame()
    house.superlink.down = 10**6
    house.node.push(asked, frame)
    for _ in range(20):
        again(house.gateway)
    assert house.questions.leaving() == ()
    assert house.superlink.replies == [] and 600 <= house.ahead < 610
    assert house.superlink.down > 10**6 - 400


def test_a_gateway_that_is_told_to_end_waits_for_no_superlink(house):
    house.gateway._replies.delivery._sleep = house.gateway._replies.delivery._stop.wait
    asked, frame = house.asked(), house.frame()
    house.superlink.down = 10**6
    pushing = threading.Thread(target=house.node.push, args=(asked, frame))
    pushing.start()
    assert becomes(lambda: house.superlink.down < 10**6, 60.0), "the reply is tried"
    began = time.monotonic()
    house.gateway._replies.close()
    pushing.join(10.0)
    assert not pushing.is_alive() and time.monotonic() - began < 1.9, "less than a pause"


def test_what_a_supernode_held_when_it_was_killed_is_answered_with_an_error_at_once(house):
    asked = house.asked()
    house.node.activate()
    settle(house.gateway)
    error = house.superlink.reply().error
    assert (error.code, error.reason) == (
        ErrorCode.CLIENT_APP_CRASHED,
        "the holder's SuperNode ended before it answered",
    )
    assert house.superlink.replies[-1].messages_list[0].metadata.reply_to_message_id == (
        asked.metadata.message_id
    )
    [sent] = house.log.of("error-sent")
    assert sent["message"] == asked.metadata.message_id


def test_a_message_that_was_answered_before_the_supernode_was_killed_gets_no_second_answer(house):
    house.node.push(house.asked(), house.frame())
    house.node.activate()
    settle(house.gateway)
    assert len(house.superlink.replies) == 1


def test_a_message_that_a_new_supernode_pulls_while_a_reply_is_composed_is_not_lost(house):
    lost, begun, held = house.asked(), threading.Event(), threading.Event()

    def earlier_reply() -> None:  # whose node takes its time
        begun.set()
        held.wait(30)

    house.gateway._sender.note(earlier_reply)
    assert begun.wait(30)
    house.node.activate()
    pulled = house.asked()
    held.set()
    settle(house.gateway)
    assert house.questions.all_open() == (pulled.metadata.message_id,)
    [error] = house.superlink.replies
    assert error.messages_list[0].metadata.reply_to_message_id == lost.metadata.message_id


def test_the_app_of_a_supernode_that_is_gone_is_not_heard_any_more(house):
    asked, frame = house.asked(), house.frame()
    house.node.activate()
    house.node.push(asked, frame)
    assert len(house.superlink.replies) == 1 and house.superlink.replies[0].messages_list[0].HasField("error")


def pulls(house) -> int:
    return house.superlink.calls.count("pull-messages")


def test_a_message_whose_check_takes_long_is_handed_in_at_a_later_pull_and_none_is_taken_meanwhile(house):
    house.holder.ledger.clear()
    first, second = house.superlink.send("train"), house.superlink.send("train")
    assert [house.node.pull() for _ in range(3)] == [None] * 3
    assert pulls(house) == 1, "the second message waits at the SuperLink"
    house.holder.ledger.set()
    assert house.pull().metadata.message_id == first.metadata.message_id
    assert house.pull().metadata.message_id == second.metadata.message_id
    assert house.superlink.replies == []


def test_a_message_whose_check_fails_late_is_answered_with_an_error(house):
    house.holder.ledger.clear()
    house.superlink.send("train")
    assert house.node.pull() is None
    house.holder.broken = True
    house.holder.ledger.set()
    assert becomes(lambda: house.node.pull() is None and house.superlink.replies, 60.0)
    settle(house.gateway)
    assert house.superlink.reply().error.reason == "the holder cannot check the bundle now"


def test_a_message_that_was_being_checked_for_a_supernode_that_is_gone_is_answered_and_not_handed_in(house):
    house.holder.ledger.clear()
    house.superlink.send("train")
    assert house.node.pull() is None
    house.node.activate()
    settle(house.gateway)
    assert house.superlink.reply().error.code == ErrorCode.CLIENT_APP_CRASHED
    house.holder.ledger.set()
    assert [house.node.pull() for _ in range(3)] == [None] * 3
    assert len(house.superlink.replies) == 1


def test_a_gateway_ends_although_a_check_waits(house):
    house.holder.ledger.clear()
    house.superlink.send("train")
    assert house.node.pull() is None
    waiting = [thread for thread in threading.enumerate() if thread.name == "gateway-check"]
    house.gateway.close()
    assert waiting and all(thread.daemon for thread in waiting)
    house.holder.ledger.set()
