"""What Flower's own SuperLink does with a reply that comes twice, in whole or in part: what ``clients/gateway/delivery.py`` says."""

from __future__ import annotations

import logging

import pytest
from flwr.app import Error
from flwr.common.constant import ErrorCode
from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import Metadata
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME

from clients.gateway.compose import error_reply
from clients.gateway.ports import SuperLinkError
from fl_core.protocol import envelope
from tests.simulators.fleet import again, bundle
from tests.simulators.flower_superlink import FlowerSuperLink
from tests.simulators.killed_gateway import FRAME, OBJECTS, Story, steps

pytestmark = pytest.mark.filterwarnings(
    "ignore:No path_separator found:DeprecationWarning:alembic"
)  # Flower's


@pytest.fixture(scope="module", params=["in memory", "in a database"])
def superlink(request, tmp_path_factory):
    """Both of Flower's ways to keep its state; the slow one is made once."""
    place = tmp_path_factory.mktemp("superlink") / "state.sqlite"
    return FlowerSuperLink(FLWR_IN_MEMORY_DB_NAME if request.param == "in memory" else str(place), bundle())


@pytest.fixture
def story(superlink, tmp_path):
    superlink.know_new_node()
    made = Story(tmp_path, superlink)
    yield made
    made.end()


def seen(objects: int) -> list[str]:
    """The steps between which a SuperLink sees a difference."""
    return ["after note", *(step for step in steps(objects) if step.startswith("after push"))]


@pytest.mark.parametrize("taken", ["at the end", "while the gateway is dead"])
@pytest.mark.parametrize("at", seen(OBJECTS))
def test_a_reply_counts_once_and_is_whole_wherever_its_gateway_was_killed(story, at, taken):
    story.answer(killed=at)
    got = story.superlink.take() if taken == "while the gateway is dead" else []
    story.restart()
    assert story.superlink.state.num_message_res() == (not got)
    got = got or story.superlink.take()
    [reply] = got
    assert story.superlink.whole(reply).content[envelope.SEALED]["frame"].data == FRAME
    assert story.kept() == ()
    assert len(set(story.pushed())) == 1
    [again] = story.superlink.take()
    assert again[0].error.code == ErrorCode.MESSAGE_UNAVAILABLE, "there is no second one"


@pytest.mark.parametrize("at", seen(1))
def test_an_error_in_place_of_a_reply_counts_once_too(story, at):
    story.answer(Error(2, "63,1,145"), killed=at)
    story.restart()
    [reply] = story.superlink.take()
    assert story.superlink.whole(reply).error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert story.kept() == ()


def test_a_reply_that_was_taken_and_confirmed_is_not_sent_once_more(story):
    story.answer(killed="before forget")
    [reply] = story.superlink.take()
    story.superlink.whole(reply)
    before = story.superlink.calls.count("push-object")
    story.restart()
    assert story.kept() == () and story.superlink.calls.count("push-object") == before
    assert reply[0].metadata.message_id not in story.superlink.state.object_store


def test_another_reply_to_an_answered_message_is_not_taken(story):
    story.answer()
    asked = story.question.metadata
    node = story.gateway._node().node_id
    question = Metadata(
        run_id=asked.run_id, message_id=asked.message_id, src_node_id=1, dst_node_id=node,
        created_at=asked.created_at, ttl=asked.ttl, message_type=asked.message_type,
    )  # fmt: skip
    other = error_reply(question, code=2, reason="another", now=asked.created_at + 1)
    story.gateway._replies.delivery.send("other", other, asked.created_at + asked.ttl)
    assert story.superlink.state.num_message_res() == 1
    [reply] = story.superlink.take()
    assert story.superlink.whole(reply).content[envelope.SEALED]["frame"].data == FRAME


def at_object(story, number: int, act) -> None:
    """Let something happen when this object of the reply is about to be pushed."""
    call, pushed = story.superlink.call, [0]

    def calling(name, request, kind, limit):
        pushed[0] += name == "push-object"
        if name == "push-object" and pushed[0] == number:
            return act(lambda: call(name, request, kind, limit))
        return call(name, request, kind, limit)

    story.superlink.call = calling


@pytest.mark.parametrize("number", [2, OBJECTS])
def test_a_reply_that_was_taken_in_part_before_its_session_ran_out_is_lost_and_that_is_said(
    story, caplog, number
):
    """Flower deletes message and objects when three minutes passed since the last one; the ServerApp had been told of it."""

    def late(push):
        assert story.superlink.take()
        story.superlink.pass_time(210)
        return push()

    at_object(story, number, late)
    with story.superlink.own_clock(), caplog.at_level(logging.WARNING, "suture.gateway"):
        story.answer()
    del story.superlink.call
    assert story.kept() == ()
    assert "nobody waits for it any more: the SuperLink deleted what had come" in caplog.text


def test_so_it_is_where_the_session_ran_out_between_two_turns(story, caplog):
    def away(push):
        raise SuperLinkError("push-object: no answer", status=503)

    with story.superlink.own_clock(), caplog.at_level(logging.WARNING, "suture.gateway"):
        at_object(story, 3, lambda push: cut_off(story, away))
        story.answer()
        del story.superlink.call
        assert len(story.questions.leaving()) == 1 and "nobody waits" not in caplog.text
        [reply] = story.superlink.take()
        story.superlink.pass_time(210)
        with pytest.raises(AssertionError, match="lacks"):
            story.superlink.whole(reply)  # who asks for an object that lacks learns that it will not come
        again(story.gateway)
    assert story.kept() == ()
    assert "nobody waits for it any more: the SuperLink deleted what had come" in caplog.text


def cut_off(story, away):
    """Let no call through any more."""
    story.superlink.call = lambda *_: away(None)
    return away(None)


def test_a_reply_whose_session_ran_out_before_anybody_took_it_is_sent_anew(story, caplog):
    def late(push):
        story.superlink.pass_time(210)
        return push()

    at_object(story, 2, late)
    with story.superlink.own_clock(), caplog.at_level(logging.WARNING, "suture.gateway"):
        story.answer()
    del story.superlink.call
    [reply] = story.superlink.take()
    assert story.superlink.whole(reply).content[envelope.SEALED]["frame"].data == FRAME
    assert story.kept() == () and "a reply was not sent" not in caplog.text


def test_a_reply_whose_last_answer_was_lost_and_that_was_confirmed_is_not_called_lost(story, caplog):
    def lost(push):
        push()
        [reply] = story.superlink.take()
        story.superlink.whole(reply)
        raise SuperLinkError("push-object: no answer", status=503)

    at_object(story, OBJECTS, lost)
    with caplog.at_level(logging.WARNING, "suture.gateway"):
        story.answer()
    del story.superlink.call
    assert story.kept() == () and "a reply was not sent" not in caplog.text


def test_a_run_that_ended_takes_no_reply_and_it_is_kept_no_longer(tmp_path):
    story = Story(tmp_path, FlowerSuperLink(FLWR_IN_MEMORY_DB_NAME, bundle()))
    story.answer(killed="after line")
    story.superlink.end_run()
    story.restart()
    assert story.kept() == ()
    with pytest.raises(SuperLinkError) as refused:
        story.superlink.call("push-messages", *_parts(story.pushed()[-1]))
    assert refused.value.status == 403
    story.end()


def _parts(data):
    return PushMessagesRequest.FromString(data), PushMessagesResponse, 1 << 20
