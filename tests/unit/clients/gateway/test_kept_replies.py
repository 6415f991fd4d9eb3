"""A reply that is noted and not sent yet: asked about anew, tried again while somebody waits, and in nobody's way."""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import threading
import time
from contextlib import closing

import pytest
from flwr.app import Array, ArrayRecord, Error, RecordDict
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import Metadata

from clients.gateway.alone import run_alone
from clients.gateway.delivery import end_of
from clients.gateway.gateway import Gateway
from clients.gateway.questions import KEEP_S, MAX_METADATA, Questions
from clients.gateway.replies import AGAIN, CONSENT_IS_OVER, FAILED, OTHER_SUPERLINK
from fl_core.errors import InputError
from fl_core.protocol import envelope
from tests.simulators.fleet import FleetInMemory, Log, again, bundle, settle
from tests.simulators.killed_gateway import FRAME, Story
from tests.simulators.process_tree import becomes


@pytest.fixture
def story(tmp_path):
    made = Story(tmp_path, FleetInMemory(bundle()))
    yield made
    made.end()


@pytest.fixture
def words(caplog):
    """What the gateway says while a test runs."""
    with caplog.at_level(logging.WARNING, "suture.gateway"):
        yield lambda: caplog.text


def arrived(story) -> bool:
    return story.superlink.reply().content[envelope.SEALED]["frame"].data == FRAME


def withheld(story) -> list:
    return [line["reason"] for line in story.log.of("reply-withheld")]


# ------------------------------------------------------------------ consent


def test_sealed_bytes_do_not_leave_again_once_the_consent_is_withdrawn(story):
    story.answer(killed="after push-messages")
    story.holder.accepted.clear()
    before = len(story.superlink.calls)
    story.restart()
    assert len(story.superlink.calls) == before and story.kept() == ()
    assert withheld(story) == [CONSENT_IS_OVER]
    story.holder.accepted.add(bytes(32))
    story.restart()
    assert len(story.superlink.calls) == before, "it is gone, whatever the holder says later"


def test_a_node_that_is_not_up_yet_is_asked_again_and_the_reply_waits(story):
    story.answer(killed="after line")
    story.holder.broken = True
    story.restart()
    assert story.superlink.replies == [] and len(story.kept()) == 1
    assert withheld(story) == [] and len(story.log.of("reply-sent")) == 1
    story.holder.broken = False
    again(story.gateway)
    assert arrived(story) and story.kept() == ()
    assert [line.get("again") for line in story.log.of("reply-sent")] == [None, AGAIN]


def test_an_error_holds_nothing_of_the_holders_and_leaves_without_consent(story):
    story.answer(Error(2, "x"), killed="after line")
    story.holder.accepted.clear()
    story.restart()
    assert story.superlink.reply().error.reason == FAILED and story.kept() == ()


def test_the_bundle_is_known_also_where_a_gateway_before_this_one_let_it_in(story):
    story.start()
    story.node.activate()
    story.question = story.asked()
    story.restart()
    story.fuse.arm("after line")
    story.node.push(story.question, story.frame())
    story.restart()
    assert arrived(story) and story.kept() == ()


@pytest.mark.parametrize("content", ["a frame", "an error"])
def test_a_reply_does_not_go_to_another_superlink_than_asked(story, content):
    story.answer(None if content == "a frame" else Error(2, "x"), killed="after line")
    story.superlink.address = "https://other.example.org:9092"
    before = len(story.superlink.calls)
    story.restart()
    assert len(story.superlink.calls) == before and story.kept() == ()
    assert withheld(story) == [OTHER_SUPERLINK]


# ------------------------------------------------------------------ what ends a reply, and what does not


@pytest.mark.parametrize("status", [401, 404, 429, 502])
def test_what_may_be_otherwise_a_moment_later_deletes_no_reply(story, status):
    story.answer(killed="after line")
    story.superlink.down, story.superlink.failing_with = 10**6, status
    story.restart()
    assert len(story.kept()) == 1
    story.superlink.down = 0
    again(story.gateway)
    assert arrived(story) and story.kept() == ()
    assert len(story.log.of("reply-sent")) == 2, "one line a process, however often it tries"


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_wrong_after_a_start_deletes_no_reply(story, days):
    story.answer(killed="after line")
    right, story.ahead = story.ahead, days * 86400.0
    story.superlink.down, story.superlink.failing_with = 10**6, 401  # what Flower says to a time that is off
    story.restart()
    again(story.gateway)
    assert story.superlink.replies == [] and len(story.questions.leaving()) == 1
    story.ahead, story.superlink.down = right, 0
    again(story.gateway)
    assert arrived(story) and story.questions.leaving() == ()


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_set_wrong_while_the_gateway_runs_deletes_no_reply(story, days):
    story.answer(killed="after line")
    story.restart()
    story.node.activate()  # an answer: the clock is right
    story.superlink.replies.clear()
    question = story.asked()
    story.superlink.down, story.superlink.failing_with = 10**6, 401
    story.node.push(question, story.frame())
    story.off = days * 86400.0
    again(story.gateway)
    assert story.superlink.replies == [] and len(story.questions.leaving()) == 1
    story.off, story.superlink.down = 0.0, 0
    again(story.gateway)
    assert arrived(story) and story.questions.leaving() == ()


def test_a_message_without_an_end_keeps_its_reply_a_week(story):
    send = story.superlink.send

    def endless(message_type):
        message = send(message_type)
        message.metadata.ttl = 1e300
        message.metadata.__dict__["_message_id"] = message.object_id
        return message

    story.superlink.send = endless
    story.answer(killed="after line")
    story.superlink.down = 10**6
    story.restart()
    story.superlink.down = 0
    story.node.activate()
    story.superlink.down = 10**6
    story.ahead += KEEP_S
    again(story.gateway)
    assert story.questions.leaving() == () and story.superlink.replies == []


@pytest.mark.parametrize(("ttl", "end"), [(5.0, 105.0), (1e300, 700.0), (math.inf, 700.0), (math.nan, 700.0)])
def test_nobody_waits_longer_than_a_message_is_known(ttl, end):
    assert end_of(Metadata(created_at=100.0, ttl=ttl), 700.0) == end


@pytest.mark.parametrize(
    "spoil",
    [
        lambda metadata: setattr(metadata, "ttl", float("inf")),
        lambda metadata: setattr(metadata, "ttl", float("nan")),
        lambda metadata: setattr(metadata, "group_id", "x" * MAX_METADATA),
    ],
    ids=["endless", "no number", "long-winded"],
)
def test_a_message_that_could_not_be_kept_is_refused_when_it_comes(story, spoil):
    pull = story.superlink._pull_messages

    def pulled(request):
        found = pull(request)
        for message in found.messages_list:
            spoil(message.metadata)
        return found

    story.superlink._pull_messages = pulled
    story.start()
    story.node.activate()
    assert story.asked() is None
    assert story.questions.all_open() == () and len(story.log.of("message-refused")) == 1


def test_one_message_that_cannot_be_answered_keeps_no_other_from_its_error(story):
    story.start()
    story.node.activate()
    first, second = story.asked(), story.asked()
    with closing(sqlite3.connect(story.path)) as database, database:
        change = "UPDATE questions SET metadata=x'ff', came=1 WHERE id=?"
        database.execute(change, (first.metadata.message_id,))
    story.node.activate()
    settle(story.gateway)
    [reply] = story.superlink.replies
    assert reply.messages_list[0].metadata.reply_to_message_id == second.metadata.message_id
    assert story.superlink.reply().error.code == ErrorCode.CLIENT_APP_CRASHED


# ------------------------------------------------------------------ turns


def test_sealed_bytes_that_cannot_be_read_keep_no_other_reply_from_leaving(story, words):
    story.answer(killed="after line")
    poisoned, [item] = story.question, story.holder.items
    good = item.read

    def broken():
        raise OSError(5, "the disk")

    object.__setattr__(item, "read", broken)
    story.restart()
    assert story.superlink.replies == [] and "the disk" in words()
    story.question, data = story.asked(), story.holder.seal("frame", b"another")
    array = Array("uint8", (len(data),), "suture.sealed.v1", data)
    story.node.push(story.question, RecordDict({envelope.SEALED: ArrayRecord({"frame": array})}))
    assert story.superlink.reply().content[envelope.SEALED]["frame"].data == b"another"
    assert story.kept() == (poisoned.metadata.message_id,)
    object.__setattr__(item, "read", good)
    again(story.gateway)
    assert arrived(story) and story.kept() == ()


def test_a_reply_that_gets_no_answer_ends_its_turn_and_the_next_one_leaves(story):
    story.answer(killed="after line")
    way = story.superlink._push_object

    def pushed(request):
        if any(request.object_id in names for names in held):
            story.superlink.down = 1
            return story.superlink.call("push-object", request, None, 0)
        return way(request)

    held: list[set[str]] = []
    story.superlink._push_object = pushed
    story.restart(killed="before push-object 1")
    held.append(set().union(*story.superlink._lacking.values()))
    story.restart()
    second = story.asked()
    before = story.ahead
    story.node.push(second, Error(2, "x"))
    assert story.superlink.reply().error.reason == FAILED
    assert story.kept() == (story.question.metadata.message_id,)
    again(story.gateway)
    assert 58 <= story.ahead - before < 70, "a minute a turn"
    held.clear()
    again(story.gateway)
    assert story.kept() == ()


def test_what_is_kept_is_tried_again_without_a_restart_of_the_gateway(story):
    story.answer(killed="after line")
    story.end()
    questions, clock = Questions(story.path), lambda: time.time() + story.ahead
    story.holder.broken = True
    gateway = Gateway(story.holder, story.superlink, questions, Log(), clock=clock, again_s=0.05)
    settle(gateway)
    assert len(questions.leaving()) == 1
    story.holder.broken = False
    assert becomes(lambda: questions.leaving() == (), 30.0) and arrived(story)
    gateway.close()
    questions.close()


def test_a_reply_is_noted_although_an_earlier_one_is_being_sent(story, words):
    story.start()
    story.node.activate()
    story.question, begun, held = story.asked(), threading.Event(), threading.Event()

    def earlier_reply() -> None:
        begun.set()
        held.wait(30)

    story.gateway._sender.send(earlier_reply)
    assert begun.wait(30)
    story.gateway._sender.send(story.gateway._replies.send_again)  # finds it noted, and queued already
    story.node.push(story.question, story.frame(), wait=False)
    assert becomes(lambda: story.kept() == (story.question.metadata.message_id,), 30.0)
    assert story.log.of("reply-sent") == [] and story.superlink.replies == []
    held.set()
    settle(story.gateway)
    assert arrived(story) and words() == ""
    assert [line.get("again") for line in story.log.of("reply-sent")] == [None]


def test_one_gateway_runs_for_a_folder(tmp_path):
    first = run_alone(tmp_path)
    with pytest.raises(InputError, match="another gateway runs"):
        run_alone(tmp_path)
    os.close(first)
    os.close(run_alone(tmp_path))
