"""A SuperNode has a message of a gateway that ended, and asks the next one for run and bundle: they are checked anew, behind the calls."""

from __future__ import annotations

import hashlib
import logging
import threading

import httpx
import pytest
from flwr.common.constant import ErrorCode
from flwr.proto import fab_pb2, heartbeat_pb2, run_pb2
from flwr.supercore.retry import http_retry

from clients.errors import NodeError
from clients.gateway import inwards
from clients.gateway.inwards import NOT_OPEN, UNCHECKED
from clients.gateway.ports import SuperLinkError
from clients.gateway.replies import PATIENCE_S
from fl_core.protocol import envelope
from tests.simulators import fleet
from tests.simulators.fleet import FleetInMemory, bundle, settle
from tests.simulators.killed_gateway import FRAME, Story
from tests.simulators.patience import patient
from tests.simulators.process_tree import becomes

RUN_ENDED = 1004
"""Any of Flower's numbers: a 403 with one is final."""


class Restarted(Story):
    """A gateway that was started anew, beside a SuperNode that has a message of the one before."""

    def __init__(self, folder) -> None:
        super().__init__(folder, FleetInMemory(bundle()))
        self.start()
        self.node.activate()
        self.question = self.asked()
        self.run = self.question.metadata.run_id
        self.restart()
        self.gateway._inwards._pull_s = 0.05

    def asks(self, run: int | None = None) -> int:
        """Ask for a run and return the status."""
        request = run_pb2.GetRunRequest(run_id=run or self.run)
        return self.gateway.answer("get-run", request.SerializeToString()).status

    def told(self) -> int:
        """Ask as a SuperNode does, which repeats a call that is answered with 503, and return the status that ends it."""
        statuses = []
        assert becomes(lambda: statuses.append(self.asks()) or statuses[-1] != 503, 60.0)
        return statuses[-1]

    def other_bundle(self) -> None:
        """Let the SuperLink name another bundle from now on, which the holder accepts too."""
        self.superlink.content = bundle(text="app = 2\n")
        self.superlink.named = hashlib.sha256(self.superlink.content).hexdigest()
        self.holder.accepted.add(bytes.fromhex(self.superlink.named))


@pytest.fixture
def story(tmp_path):
    made = Restarted(tmp_path)
    yield made
    made.holder.ledger.set()
    made.end()


def test_run_and_bundle_of_an_open_message_are_what_they_were(story):
    assert story.told() == 200
    asked = fab_pb2.GetFabRequest(run_id=story.run, hash_str=story.superlink.named)
    assert story.node.call("get-fab", asked, fab_pb2.GetFabResponse).fab.content == story.superlink.content
    story.node.push(story.question, story.frame())
    assert story.superlink.reply().content[envelope.SEALED]["frame"].data == FRAME


# ------------------------------------------------------------------ no call waits


def test_a_supernode_repeats_what_is_answered_with_503_and_no_call_waits_for_the_ledger(story):
    assert httpx.codes.SERVICE_UNAVAILABLE in http_retry._RETRYABLE_STATUS_CODES
    story.holder.ledger.clear()
    asked, accepts = [], story.holder.accepts
    story.holder.accepts = lambda digest: asked.append(digest) or accepts(digest)
    assert [story.asks() for _ in range(10)] == [503] * 10
    heartbeat = heartbeat_pb2.SendNodeHeartbeatRequest()
    story.node.call("send-node-heartbeat", heartbeat, heartbeat_pb2.SendNodeHeartbeatResponse)
    story.holder.ledger.set()
    assert story.told() == 200
    assert len(asked) == 1, "one check for all of them"
    assert story.log.entries == [], "waiting is no refusal"


def test_nor_for_a_check_of_the_next_message(story):
    assert story.told() == 200
    story.holder.ledger.clear()
    story.superlink.send("train")
    assert story.node.pull() is None, "its check waits"
    statuses = []
    call = threading.Thread(target=lambda: statuses.append(story.asks()), daemon=True)
    call.start()
    call.join(patient(20.0))
    assert statuses == [200]


def test_so_many_runs_are_checked_anew_at_a_time(story, monkeypatch):
    monkeypatch.setattr(inwards, "MAX_RUNS", 1)
    monkeypatch.setattr(fleet, "RUN", story.run + 1)
    assert story.asked() is not None
    story.restart()
    story.gateway._inwards._pull_s = 0.05
    story.holder.ledger.clear()
    before = set(threading.enumerate())
    assert [story.asks(), story.asks(story.run + 1)] == [503, 503]
    checks = [t for t in threading.enumerate() if t.name == "gateway-check" and t not in before]
    assert len(checks) == 1 and checks[0].daemon
    story.holder.ledger.set()
    assert story.told() == 200
    assert becomes(lambda: story.asks(story.run + 1) == 200, 60.0)


# ------------------------------------------------------------------ what does not come in


@pytest.mark.parametrize("now", ["another bundle", "no consent"])
def test_what_is_refused_now_is_answered_at_once_and_the_supernode_is_told(story, now):
    story.holder.accepted.clear()
    if now == "another bundle":
        story.other_bundle()
    assert story.told() == 403
    settle(story.gateway)
    assert story.superlink.reply().error.code == ErrorCode.INVALID_FAB
    [line] = story.log.of("bundle-refused")
    assert (line["run"], line["bundle"]) == (str(story.run), story.superlink.named)
    assert [line["reason"] for line in story.log.of("call-refused")] == [
        "the holder let this bundle in before, and refuses it now"
    ]
    asked = story.question.metadata
    assert story.questions.over(asked.created_at + asked.ttl + 1) == (), "no SuperNode is killed for it"
    fab = fab_pb2.GetFabRequest(run_id=story.run, hash_str=story.superlink.named)
    assert story.node.refused("get-fab", fab) == 403


def test_it_is_written_down_once_however_often_and_early_somebody_asks_again(story):
    story.holder.accepted.clear()
    busy = threading.Event()
    story.gateway._sender.note(busy.wait, 60.0)
    assert [story.told() for _ in range(5)] == [403] * 5
    assert len(story.log.of("bundle-refused")) == 1 and story.questions.all_open() == ()
    busy.set()


def test_messages_of_other_runs_stay_open(story, monkeypatch):
    monkeypatch.setattr(fleet, "RUN", story.run + 1)
    other = story.asked().metadata.message_id
    story.restart()
    story.holder.accepted.clear()
    assert story.told() == 403
    assert story.questions.all_open() == (other,)


def test_a_run_without_an_open_message_is_refused_and_nobody_is_asked(story):
    story.node.push(story.question, story.frame())
    story.holder.ledger.clear()
    assert story.asks() == 403
    assert story.log.of("call-refused") == [{"call": "get-run", "reason": NOT_OPEN}]


@pytest.mark.parametrize("number", [0, RUN_ENDED])
def test_what_cannot_be_checked_is_answered_with_an_error(story, number):
    def away(request):
        raise SuperLinkError("get-run", status=403, code=number)

    story.superlink._get_run = away
    assert story.told() == 403
    settle(story.gateway)
    assert story.superlink.reply().error.reason == UNCHECKED and story.log.of("bundle-refused") == []
    assert (story.ahead >= PATIENCE_S) == (number == 0), "what is final is not asked again"


def test_a_gateway_that_ends_leaves_it_to_the_next_one(story, caplog):
    def away(digest):
        raise NodeError("the node does not answer")

    story.holder.accepts = away
    story.gateway._replies.delivery.close()
    with caplog.at_level(logging.WARNING, "suture.gateway"):
        assert becomes(lambda: story.asks() == 503 and "the node does not answer" in caplog.text, 60.0)
    settle(story.gateway)
    assert story.questions.all_open() == (story.question.metadata.message_id,)


# ------------------------------------------------------------------ what was said first


def test_the_bundle_that_a_run_brought_first_counts_over_a_restart(story):
    first = story.questions.bundle_of(story.run)
    story.other_bundle()
    assert story.told() == 403
    assert story.asked() is None
    settle(story.gateway)
    assert story.superlink.reply().error.code == ErrorCode.INVALID_FAB
    assert story.questions.bundle_of(story.run) == first
    assert story.asks() == 403


def test_so_it_does_where_the_next_message_comes_first(story):
    first = story.questions.bundle_of(story.run)
    story.other_bundle()
    assert story.asked() is None
    assert story.questions.bundle_of(story.run) == first and story.told() == 403
