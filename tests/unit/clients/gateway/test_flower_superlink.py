"""What Flower's own SuperLink does with a reply that comes twice, in whole or in part: what ``clients/gateway/delivery.py`` says."""

from __future__ import annotations

import pytest
from flwr.app import Error
from flwr.common.constant import ErrorCode
from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import Metadata
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME

from clients.gateway.compose import error_reply
from clients.gateway.ports import SuperLinkError
from fl_core.protocol import envelope
from tests.simulators.fleet import bundle
from tests.simulators.flower_superlink import FlowerSuperLink
from tests.simulators.killed_gateway import FRAME, OBJECTS, Story, steps


@pytest.fixture(params=["in memory", "in a database"])
def story(request, tmp_path):
    database = FLWR_IN_MEMORY_DB_NAME if request.param == "in memory" else str(tmp_path / "state.sqlite")
    made = Story(tmp_path, FlowerSuperLink(database, bundle()))
    yield made
    made.end()


@pytest.mark.parametrize("taken", ["at the end", "while the gateway is dead"])
@pytest.mark.parametrize("at", steps(OBJECTS)[1:])
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


@pytest.mark.parametrize("at", steps(1)[1:])
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
    story.superlink.state.object_store.delete(reply[0].metadata.message_id)
    before = story.superlink.calls.count("push-object")
    story.restart()
    assert story.kept() == () and story.superlink.calls.count("push-object") == before
    assert len(story.superlink.state.object_store) == 0


def test_another_reply_to_an_answered_message_is_not_taken(story):
    story.answer()
    asked = story.question.metadata
    node = story.gateway._node().node_id
    question = Metadata(
        run_id=asked.run_id, message_id=asked.message_id, src_node_id=1, dst_node_id=node,
        created_at=asked.created_at, ttl=asked.ttl, message_type=asked.message_type,
    )  # fmt: skip
    other = error_reply(question, code=2, reason="another", now=asked.created_at + 1)
    story.gateway._replies.delivery.send("other", other)
    assert story.superlink.state.num_message_res() == 1
    [reply] = story.superlink.take()
    assert not reply[0].HasField("error")


def test_a_run_that_ended_takes_no_reply_and_it_is_kept_no_longer(story):
    story.answer(killed="after line")
    story.superlink.end_run()
    story.restart()
    assert story.kept() == ()
    with pytest.raises(SuperLinkError) as refused:
        story.superlink.call("push-messages", *_parts(story.pushed()[-1]))
    assert refused.value.status == 403


def _parts(data):
    return PushMessagesRequest.FromString(data), PushMessagesResponse, 1 << 20
