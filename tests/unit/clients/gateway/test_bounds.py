"""A SuperLink that sends without end, and takes nothing: what it can make the gateway keep has a bound."""

from __future__ import annotations

import threading

import pytest
from flwr.app import ConfigRecord, Error, RecordDict

from clients.gateway import inwards
from clients.gateway.ports import SuperLinkError
from tests.simulators.fleet import FleetInMemory, again, bundle, settle
from tests.simulators.killed_gateway import Story
from tests.simulators.process_tree import becomes


@pytest.fixture
def story(tmp_path):
    made = Story(tmp_path, FleetInMemory(bundle()))
    made.start()
    made.node.activate()
    yield made
    made.end()


def size(story) -> int:
    return int(story.questions._db.execute("PRAGMA page_count").fetchone()[0]) * 4096


def test_an_answered_message_is_a_line_in_the_database_and_not_its_objects(story):
    many = RecordDict({f"{n}": ConfigRecord({"n": n}) for n in range(1000)})
    before = size(story)
    for _ in range(20):
        question = story.superlink.send("train", many)
        assert story.node.pull().metadata.message_id == question.metadata.message_id
        story.node.push(question, Error(2, "x"))
    assert story.kept() == () and len(story.superlink.replies) == 20
    assert size(story) - before < 500_000, "each has 66 kB of names"


def test_no_message_is_taken_while_more_are_held_than_ever_would_be(story, caplog, monkeypatch):
    monkeypatch.setattr(inwards, "MAX_HELD", 5)
    story.holder.accepted.clear()  # each is answered with an error, which the SuperLink does not take
    story.superlink._push_messages = refuse
    for _ in range(20):
        story.superlink.send("train")
    for _ in range(20):
        assert story.node.pull() is None
        settle(story.gateway)
    assert (story.questions.held(), len(story.superlink.waiting)) == (5, 15)
    assert "takes no message" in caplog.text
    del story.superlink._push_messages
    again(story.gateway)
    assert story.questions.held() == 0
    story.node.pull()
    assert len(story.superlink.waiting) == 14


def refuse(request):
    raise SuperLinkError("push-messages", status=503)


def test_a_gateway_that_ends_begins_with_no_reply_any_more(story):
    delivery, begun = story.gateway._replies.delivery, threading.Event()
    delivery._sleep = delivery._stop.wait
    questions = [story.asked() for _ in range(3)]
    call = story.superlink.call

    def slow(name, request, kind, limit):
        if name == "push-messages":
            begun.set()
            delivery._stop.wait(30)
        return call(name, request, kind, limit)

    story.superlink.call = slow
    for question in questions:
        story.node.push(question, Error(2, "x"), wait=False)
    assert begun.wait(30)
    assert becomes(lambda: len(story.kept()) == 3, 30.0)
    story.gateway.close()
    assert story.superlink.calls.count("push-messages") == 1
    assert len(story.kept()) == 2
