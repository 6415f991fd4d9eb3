"""A gateway that is killed while a reply leaves: after its restart the same bytes are sent again, one reply, and not for ever."""

from __future__ import annotations

import logging
import sqlite3
import time
from contextlib import closing

import numpy as np
import pytest
from flwr.app import ArrayRecord, Error, RecordDict
from flwr.common.constant import ErrorCode

from clients.gateway.kept import MAX_KEPT
from clients.gateway.objects import CHUNK_BYTES
from clients.gateway.questions import KEEP_S, Questions
from clients.gateway.replies import AGAIN, FAILED, RESTARTED, WITHHELD
from fl_core.protocol import envelope
from ledger.errors import ArchiveError
from tests.simulators.fleet import FleetInMemory, again, bundle, settle
from tests.simulators.killed_gateway import FRAME, OBJECTS, Story, steps
from tests.simulators.process_tree import becomes


class InMemory(Story):
    """At a SuperLink in memory, which tells what it has."""

    def __init__(self, folder) -> None:
        super().__init__(folder, FleetInMemory(bundle()))

    def arrived(self) -> bool:
        """Whether the SuperLink has one reply, and all of it."""
        [reply] = self.superlink.replies
        assert reply.messages_list[0].metadata.reply_to_message_id == self.question.metadata.message_id
        return self.superlink.reply().content[envelope.SEALED]["frame"].data == FRAME


@pytest.fixture
def story(tmp_path):
    made = InMemory(tmp_path)
    yield made
    made.end()


@pytest.fixture
def words(caplog):
    """What the gateway says while a test runs."""
    with caplog.at_level(logging.WARNING, "suture.gateway"):
        yield lambda: caplog.text


def test_the_steps_of_a_reply_are_those_at_which_it_is_killed_here(story):
    story.answer()
    assert story.fuse.passed == steps(OBJECTS)
    assert story.arrived() and story.kept() == ()


@pytest.mark.parametrize("supernode", ["lives", "starts too"])
@pytest.mark.parametrize("at", steps(OBJECTS)[1:])
def test_a_kill_at_any_step_behind_the_note_costs_no_reply_and_sends_no_other(story, at, supernode):
    story.answer(killed=at)
    done = steps(OBJECTS)[: steps(OBJECTS).index(at) + 1]
    assert story.fuse.blown and story.fuse.passed == done[:-1]
    story.restart()
    if supernode == "starts too":
        story.node.activate()
        settle(story.gateway)
    assert story.arrived()
    assert len(set(story.pushed())) == 1, "what was sent twice is the same bytes"
    assert story.kept() == ()
    lines = [line.get("again") for line in story.log.of("reply-sent")]
    assert lines == [None] * ("after line" in done) + [AGAIN] * ("after forget" not in done)
    story.restart()
    assert len(story.log.of("reply-sent")) == len(lines), "once it is there it is sent no more"


def test_a_message_whose_reply_was_not_noted_yet_is_open_and_gets_an_error(story):
    story.answer(killed="before note")
    story.restart()
    assert story.superlink.replies == []
    story.node.activate()
    settle(story.gateway)
    assert story.superlink.reply().error.reason == RESTARTED
    assert len(story.superlink.replies) == 1


@pytest.mark.parametrize(
    ("content", "reason", "event"),
    [
        (Error(2, "63,1,145"), FAILED, "error-sent"),
        (RecordDict({"rows": ArrayRecord([np.ones(3)])}), WITHHELD, "reply-withheld"),
    ],
)
@pytest.mark.parametrize("at", steps(1)[1:])
def test_so_it_is_with_an_error_that_stands_in_place_of_a_reply(story, at, content, reason, event):
    story.answer(content, killed=at)
    story.restart()
    story.node.activate()
    settle(story.gateway)
    assert (story.superlink.reply().error.code, story.superlink.reply().error.reason) == (
        ErrorCode.CLIENT_APP_RAISED_EXCEPTION,
        reason,
    )
    assert len(story.superlink.replies) == 1 and len(set(story.pushed())) == 1
    assert {name for name, _ in story.log.entries} == {event}
    assert story.kept() == ()


@pytest.mark.parametrize("number", range(1, OBJECTS + 1))
def test_a_reply_that_was_taken_in_part_gets_the_objects_that_lack(story, number):
    """The ServerApp takes a message as soon as it is pushed, and waits for its objects."""
    story.answer(killed=f"before push-object {number}")
    story.superlink.take()
    story.restart()
    assert story.arrived() and story.kept() == ()


def test_a_reply_that_was_taken_whole_is_not_sent_once_more(story):
    story.answer(killed="before forget")
    story.superlink.take()
    before = story.superlink.calls.count("push-object")
    story.restart()
    assert story.arrived() and story.kept() == ()
    assert story.superlink.calls.count("push-object") == before


def test_a_gateway_that_is_killed_again_and_again_sends_one_reply_in_the_end(story):
    story.answer(killed="after note")
    for at in steps(OBJECTS)[2:-2]:
        story.restart(at)
    story.restart()
    assert story.arrived() and len(set(story.pushed())) == 1 and story.kept() == ()


@pytest.mark.parametrize("lost", ["push-messages", "push-object", "pull-object"])
def test_an_answer_that_is_lost_on_its_way_costs_no_reply(story, lost):
    story.answer(killed="after push-object 1")
    story.superlink.take()
    story.superlink.mute = [lost, lost]
    story.restart()
    assert story.superlink.mute == [] and story.arrived() and story.kept() == ()


def test_an_object_whose_answer_is_lost_is_not_taken_for_one_that_is_refused(story):
    story.superlink.mute = ["push-object", "push-object", "push-object"]
    story.answer()
    assert story.superlink.mute == [] and story.arrived()


def test_what_is_leaving_is_sent_and_only_what_is_open_gets_an_error(story):
    story.answer(killed="after line")
    story.end()
    story.start()
    first, second = story.question, story.asked()
    story.node.activate()
    settle(story.gateway)
    sent = [reply.messages_list[0] for reply in story.superlink.replies]
    assert [message.metadata.reply_to_message_id for message in sent] == [
        first.metadata.message_id,
        second.metadata.message_id,
    ]
    assert [message.HasField("error") for message in sent] == [False, True]


def test_what_a_supernode_says_while_its_reply_is_sent_again_is_a_refused_call(story):
    story.answer(killed="after line")
    story.restart()
    story.node.push(story.question, Error(2, "another"))
    assert story.arrived() and len(story.log.of("call-refused")) == 1


def test_a_reply_whose_time_is_over_is_dropped(story, words):
    story.answer(killed="after line")
    story.ahead += story.question.metadata.ttl + 1
    story.restart()
    assert len(story.questions.leaving()) == 1, (
        "the clock may be wrong: nothing that a SuperLink answered says that it is right"
    )
    story.node.activate()
    again(story.gateway)
    assert story.superlink.replies == [] and story.kept() == ()
    assert "nobody waits for it any more" in words()


def test_a_reply_whose_sealed_bytes_are_gone_is_dropped(story, words):
    story.answer(killed="after push-object 1")
    story.holder.items.clear()
    before = len(story.superlink.calls)
    story.restart()
    assert len(story.superlink.calls) == before and story.kept() == ()
    assert "its sealed bytes are gone, for their round is over" in words()


def test_sealed_bytes_that_go_while_they_are_read_end_the_reply(story, words):
    story.answer(killed="after line")
    [item] = story.holder.items

    def gone():
        yield FRAME[:CHUNK_BYTES]
        raise ArchiveError(item.digest, "gone")

    reads = iter([item.read, gone])  # once to name the chunks, once to send them
    object.__setattr__(item, "read", lambda: next(reads)())
    story.restart()
    assert "a reply was not sent" in words() and story.kept() == ()


def test_other_sealed_bytes_than_the_tree_names_are_not_sent(story, words):
    story.answer(killed="after line")
    [item] = story.holder.items
    object.__setattr__(item, "read", lambda: iter((bytes(len(FRAME)),)))
    story.restart()
    assert story.superlink.replies == [] and story.kept() == ()
    assert "its chunks are not those of its sealed bytes" in words()


DAMAGE = {
    "cut off": lambda reply: reply[:400],
    "longer": lambda reply: reply + b"\0",
    "empty": lambda reply: b"",
    "of another version": lambda reply: b"\1" + reply[1:],
    "too long": lambda reply: bytes(MAX_KEPT + 1),
    "a number": lambda reply: 7,
    "a text": lambda reply: "reply",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_reply_is_dropped_and_the_next_one_is_sent(story, words, damage):
    story.answer(killed="after line")
    with closing(sqlite3.connect(story.path)) as database, database:
        [(reply,)] = database.execute("SELECT reply FROM replies")
        question = "SELECT 'first', run, metadata, objects, came, 1 FROM questions"
        database.execute(f"INSERT INTO questions {question}")
        database.execute("INSERT INTO replies VALUES (0, 'first', ?)", (DAMAGE[damage](reply),))
    story.restart()
    assert story.arrived() and story.kept() == ()
    assert "it is damaged" in words()


def test_objects_that_were_exchanged_are_damage(story, words):
    story.answer(killed="after line")
    with closing(sqlite3.connect(story.path)) as database, database:
        [(reply,)] = database.execute("SELECT reply FROM replies")
        assert reply.count(b'{"account": "00"}') == 1
        changed = reply.replace(b'{"account": "00"}', b'{"account": "01"}')
        database.execute("UPDATE replies SET reply=?", (changed,))
    story.restart()
    assert story.superlink.replies == [] and story.kept() == ()
    assert "its objects are not those of its tree" in words()


def test_a_superlink_that_refuses_is_not_asked_again_by_the_next_gateway(story):
    story.superlink.failing_with = 400
    story.start()
    story.node.activate()
    story.question = story.asked()
    story.superlink.down = 1
    story.node.push(story.question, story.frame())
    assert story.kept() == () and story.superlink.replies == []
    story.restart()
    assert story.pushed() == []


def test_a_gateway_that_is_told_to_end_leaves_the_reply_to_the_next_one(story):
    story.start()
    story.node.activate()
    delivery = story.gateway._replies.delivery
    delivery._sleep = delivery._stop.wait
    story.question = story.asked()
    settle(story.gateway)
    story.superlink.down = 10**6
    story.node.push(story.question, story.frame(), wait=False)
    assert becomes(lambda: story.superlink.down < 10**6, 10.0), "it is tried"
    story.gateway.close()
    assert len(story.kept()) == 1
    story.superlink.down = 0
    story.restart()
    assert story.arrived() and story.kept() == ()
    assert [line.get("again") for line in story.log.of("reply-sent")] == [None, AGAIN]


def test_a_reply_is_kept_no_longer_than_its_message(story):
    story.answer(killed="after line")
    story.end()
    story.questions = Questions(story.path)
    assert len(story.questions.leaving(time.time())) == 1
    assert story.questions.leaving(time.time() + KEEP_S + 1) == ()
    assert story.questions.kept(story.question.metadata.message_id) == b""


BEFORE = """
CREATE TABLE questions (
    id TEXT PRIMARY KEY, run TEXT NOT NULL, metadata BLOB NOT NULL, objects TEXT NOT NULL, came REAL NOT NULL,
    answered INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
"""The tables of a gateway that kept no replies."""


def test_a_database_of_before_opens_and_what_it_noted_still_counts(story):
    story.start()
    story.node.activate()
    answered, is_open = story.asked(), story.asked()
    story.node.push(answered, Error(2, "x"))
    story.end()
    with closing(sqlite3.connect(story.path)) as new:
        rows = {name: new.execute(f"SELECT * FROM {name}").fetchall() for name in ("questions", "facts")}
    for path in story.path.parent.glob("gateway.sqlite*"):
        path.unlink()
    with closing(sqlite3.connect(story.path)) as old:
        old.executescript(BEFORE)
        old.executemany("INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?)", rows["questions"])
        old.executemany("INSERT INTO facts VALUES (?, ?)", rows["facts"])
        old.commit()
    story.start()
    assert story.kept() == ()
    story.node.push(answered, story.frame())
    assert len(story.superlink.replies) == 1, "it was answered before"
    story.node.push(is_open, story.frame())
    assert story.superlink.reply().content[envelope.SEALED]["frame"].data == FRAME
