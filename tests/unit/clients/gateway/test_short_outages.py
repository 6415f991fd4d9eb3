"""What is away for a moment at the holder costs no message and no reply: the node, its register, room on the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager

import pytest
from flwr.common.constant import ErrorCode
from flwr.proto import fleet_pb2, heartbeat_pb2, run_pb2
from flwr.proto.node_pb2 import Node

from clients.errors import NodeError, NodeStateError
from clients.gateway.inwards import UNCHECKED
from clients.gateway.ports import SuperLinkError
from clients.gateway.replies import PATIENCE_S, WITHHELD
from clients.node import sealed
from clients.node.sealed import SealedFolder
from fl_core.protocol import envelope
from tests.simulators.fleet import FleetInMemory, bundle, settle
from tests.simulators.killed_gateway import FRAME, Story


@pytest.fixture
def story(tmp_path):
    made = Story(tmp_path, FleetInMemory(bundle()))
    made.start()
    made.node.activate()
    yield made
    made.end()


def arrived(story) -> bool:
    return story.superlink.reply().content[envelope.SEALED]["frame"].data == FRAME


def away(story, what: str, seconds: float, error: Exception) -> None:
    """Have the holder raise until so many seconds were waited."""
    back, act = story.ahead + seconds, getattr(story.holder, what)

    def acting(*arguments):
        if story.ahead < back:
            raise error
        return act(*arguments)

    setattr(story.holder, what, acting)


@contextmanager
def full(story):
    """Let the gateway's database find no room."""
    (pages,) = story.questions._db.execute("PRAGMA page_count").fetchone()
    story.questions._db.execute(f"PRAGMA max_page_count={pages}")
    yield
    story.questions._db.execute("PRAGMA max_page_count=1000000")


# ------------------------------------------------------------------ the node


@pytest.mark.parametrize("what", ["status", "sealed"])
def test_a_node_that_is_started_anew_while_the_app_replies_costs_no_reply(story, what):
    question = story.asked()
    content = story.frame()
    away(story, what, 60, NodeError("the node does not answer"))
    if what == "status":
        story.node.push(question, content)
    else:
        supernode_pushes(story, question, content)
    assert arrived(story) and story.log.of("reply-withheld") == []


def supernode_pushes(story, question, content) -> None:
    """Push as Flower's SuperNode does: a call that is answered with 503 is repeated."""
    while True:
        try:
            return story.node.push(question, content) and None
        except AssertionError as error:
            assert "status=503" in str(error)
            story.pause(2.0)


def test_a_node_that_stays_away_costs_the_reply_and_an_error_says_so(story):
    question = story.asked()
    content = story.frame()
    away(story, "status", 10**6, NodeError("the node does not answer"))
    story.node.push(question, content)
    assert story.superlink.reply().error.reason == WITHHELD
    assert PATIENCE_S <= story.ahead < PATIENCE_S + 10


def test_a_node_that_is_started_anew_while_a_message_comes_costs_no_message(story):
    away(story, "accepts", 60, NodeError("the node does not answer"))
    question = story.asked()
    assert question is not None and story.superlink.replies == []
    story.node.push(question, story.frame())
    assert arrived(story)


def test_so_it_is_where_the_superlink_does_not_tell_the_run_for_a_moment(story):
    call = story.superlink._get_run

    def get_run(request):
        if story.ahead < 30:
            raise SuperLinkError("get-run: no answer", status=503)
        return call(request)

    story.superlink._get_run = get_run
    assert story.asked() is not None and story.superlink.replies == []


@pytest.mark.parametrize("status", [412, 503])
def test_what_cannot_be_checked_in_time_is_answered_with_an_error(story, status):
    story.superlink._get_run = lambda request: refuse(status)
    assert story.asked() is None
    settle(story.gateway)
    assert story.superlink.reply().error.reason == UNCHECKED
    assert (story.ahead >= PATIENCE_S) == (status == 503), "what is final is not asked again"


def refuse(status: int):
    raise SuperLinkError("get-run", status=status)


def clock_is_set_meanwhile(story) -> None:
    """Let the clock be an hour ahead from the first pause on."""

    def pause(seconds):
        story.off = 3600.0
        story.pause(seconds)

    story.gateway._replies.delivery._sleep = pause


def test_a_clock_that_is_set_while_the_node_is_away_costs_no_reply(story):
    question = story.asked()
    content = story.frame()
    away(story, "status", 60, NodeError("the node does not answer"))
    clock_is_set_meanwhile(story)
    story.node.push(question, content)
    assert arrived(story) and story.ahead >= 60


def test_nor_a_message(story):
    assert story.asked() is not None, "the run is known: no call proves another clock"
    away(story, "accepts", 60, NodeError("the node does not answer"))
    clock_is_set_meanwhile(story)
    assert story.asked() is not None and story.ahead >= 60


# ------------------------------------------------------------------ the gateway itself


def checking(story) -> str:
    """Let a message come whose check waits for the ledger, and end the gateway meanwhile; return its name."""
    story.gateway._inwards._pull_s = 0.05
    story.holder.ledger.clear()
    sent = story.superlink.send("train").metadata.message_id
    assert story.node.pull() is None and story.questions.all_open() == (sent,)
    story.restart()
    story.holder.ledger.set()
    return str(sent)


def test_a_message_that_was_being_checked_when_the_gateway_ended_is_handed_in_by_the_next_one(story):
    sent = checking(story)
    question = story.node.pull()
    assert question.metadata.message_id == sent
    assert story.node.pull() is None
    story.restart()
    assert story.node.pull() is None, "it was handed in"
    story.node.push(question, story.frame())
    assert arrived(story)


def test_so_it_is_where_the_node_is_away_when_the_gateway_ends(story):
    def away_for_good(bundle):
        raise NodeError("the node does not answer")

    story.holder.accepts, accepts = away_for_good, story.holder.accepts
    story.gateway._replies.delivery.close()
    sent = story.superlink.send("train").metadata.message_id
    assert story.node.pull() is None
    settle(story.gateway)
    assert story.questions.all_open() == (sent,), "no error is sent in its place"
    story.holder.accepts = accepts
    story.restart()
    assert story.node.pull().metadata.message_id == sent


def test_it_is_checked_all_the_same(story):
    checking(story)
    story.holder.accepted.clear()
    assert story.node.pull() is None
    settle(story.gateway)
    assert story.superlink.reply().error.code == ErrorCode.INVALID_FAB


def test_a_supernode_that_starts_too_gets_it_answered_with_an_error_and_not_handed_in(story):
    checking(story)
    story.node.activate()
    assert story.node.pull() is None
    settle(story.gateway)
    assert story.superlink.reply().error.code == ErrorCode.CLIENT_APP_CRASHED


# ------------------------------------------------------------------ its register


def test_a_register_that_cannot_be_read_now_is_not_taken_for_an_empty_one(tmp_path, monkeypatch):
    monkeypatch.setattr(sealed, "_BUSY_S", 0.05)
    folder = SealedFolder(tmp_path)
    with closing(sqlite3.connect(tmp_path / "register.sqlite", isolation_level=None)) as other:
        assert folder.list() == (), "it was made a moment ago"
        other.execute("CREATE TABLE something (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(NodeStateError, match="cannot be read"):
            folder.list()
        other.execute("ROLLBACK")
        assert folder.list() == ()


# ------------------------------------------------------------------ the disk


def test_a_reply_that_finds_no_room_is_noted_when_there_is_some(story):
    question = story.asked()
    content = story.frame()
    story.holder.status = lambda: bytes(20_000)
    pause = story.pause

    def room(seconds):
        story.questions._db.execute("PRAGMA max_page_count=1000000")
        pause(seconds)

    story.gateway._replies.delivery._sleep = room
    with full(story):
        story.node.push(question, content)
    assert story.ahead > 0 and arrived(story) and story.kept() == ()


def test_a_message_that_finds_no_room_is_handed_in_when_there_is_some(story):
    pull = fleet_pb2.PullMessagesRequest(node=Node(node_id=1)).SerializeToString()
    sent = []
    with full(story):
        while len(sent) < 200:  # until what room there is in the last page is used up
            sent.append(story.superlink.send("train").metadata.message_id)
            if story.gateway.answer("pull-messages", pull).status == 503:
                break
        assert len(sent) < 200 and sent[-1] not in story.questions.all_open()
    assert story.node.pull().metadata.message_id == sent[-1]
    assert story.node.pull() is None


@pytest.mark.parametrize("note", ["brings", "handed_in"])
def test_so_it_is_with_one_that_finds_no_room_while_it_is_checked_or_handed_in(story, monkeypatch, note):
    monkeypatch.setattr(story.questions, note, once(getattr(story.questions, note)))
    sent = story.superlink.send("train").metadata.message_id
    pull = fleet_pb2.PullMessagesRequest(node=Node(node_id=1)).SerializeToString()
    answers = [story.gateway.answer("pull-messages", pull) for _ in range(3)]
    came = [fleet_pb2.PullMessagesResponse.FromString(one.body) for one in answers if one.status == 200]
    assert [message.metadata.message_id for one in came for message in one.messages_list] == [sent]


def test_a_refused_bundle_whose_line_finds_no_room_is_answered_all_the_same(story, monkeypatch):
    monkeypatch.setattr(story.gateway._log, "record", once(story.gateway._log.record))
    story.holder.accepted.clear()
    assert story.asked() is None
    settle(story.gateway)
    assert story.superlink.reply().error.code == ErrorCode.INVALID_FAB
    assert len(story.log.of("bundle-refused")) == 1


def once(act):
    """Return an act that finds no room the first time."""
    tries = []

    def acting(*arguments, **more):
        tries.append(arguments)
        if len(tries) == 1:
            raise sqlite3.OperationalError("database or disk is full")
        return act(*arguments, **more)

    return acting


def test_a_refused_call_that_finds_no_room_for_its_line_is_refused_all_the_same(story, monkeypatch):
    def no_room(event, **facts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(story.gateway._log, "record", no_room)
    story.superlink.down = 1
    assert story.node.refused("send-node-heartbeat", heartbeat_pb2.SendNodeHeartbeatRequest()) == 503
    assert story.node.refused("get-run", run_pb2.GetRunRequest(run_id=1)) == 403
