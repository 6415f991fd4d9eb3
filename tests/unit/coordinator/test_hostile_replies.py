"""What a node's reply says is the node's word: whatever it pushes through Flower's own SuperLink and grid is one drop-out, and never the run's end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flwr.app import Message, MetricRecord, RecordDict
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL, SUPERLINK_NODE_ID
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    PushMessagesResponse,
    RegisterNodeFleetRequest,
    RegisterNodeFleetResponse,
)
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.message_pb2 import Metadata, ObjectTree, PushObjectRequest, PushObjectResponse
from flwr.proto.node_pb2 import Node
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecords
from flwr.supercore.constant import FLWR_IN_MEMORY_DB_NAME
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid.http_grid import HttpGrid
from flwr.superlink.servicer.runtime import runtime_handlers

from clients.gateway.objects import encode_object, object_id, references
from coordinator.engines.exchange import Answer, Why, exchange
from coordinator.flower_messages import reported_times
from fl_core.protocol import envelope
from tests.simulators.fleet import bundle
from tests.simulators.flower_superlink import FlowerSuperLink

LIMIT = 1 << 22
Reply = Callable[[Metadata], tuple[bytes, ...]]
"""Makes the objects of a reply, the message's first."""
_CALLS = {
    "PushMessages": runtime_handlers.push_messages,
    "PullMessages": runtime_handlers.pull_messages,
    "PushObject": runtime_handlers.push_object,
    "PullObject": runtime_handlers.pull_object,
    "ConfirmMessageReceived": runtime_handlers.confirm_message_received,
}


class Calls:
    """Flower's client of a ServerApp, without HTTP."""

    def __init__(self, superlink: FlowerSuperLink) -> None:
        self._superlink = superlink

    def __getattr__(self, name: str):
        return lambda request: _CALLS[name](request, self._superlink.state, self._superlink.task)


def connect(superlink: FlowerSuperLink) -> HttpGrid:
    """Flower's own grid of the run's ServerApp."""
    grid = HttpGrid(token="-")
    grid._client = Calls(superlink)
    grid.set_run(Run.create_empty(superlink.task.run_id))
    TaskIdentity.run_id, TaskIdentity.node_id = superlink.task.run_id, SUPERLINK_NODE_ID
    TaskIdentity.task_id = superlink.task.task_id
    assert superlink.state.acknowledge_task_heartbeat(superlink.task.task_id)
    return grid


class FleetNode:
    """A node that speaks the fleet protocol itself, without our gateway, and says what it likes."""

    def __init__(self, superlink: FlowerSuperLink) -> None:
        superlink.know_new_node()
        key = superlink.public_key
        self._superlink = superlink
        superlink.call(
            "register-node", RegisterNodeFleetRequest(public_key=key), RegisterNodeFleetResponse, LIMIT
        )
        asked = ActivateNodeRequest(public_key=key, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL)
        self.id = superlink.call("activate-node", asked, ActivateNodeResponse, LIMIT).node_id

    def pull(self) -> Metadata:
        request = PullMessagesRequest(node=Node(node_id=self.id))
        [message] = self._superlink.call("pull-messages", request, PullMessagesResponse, LIMIT).messages_list
        return message.metadata

    def push(self, asked: Metadata, root: bytes, *others: bytes) -> None:
        """Push a reply whose message object is ``root``, whatever that holds; the SuperLink is told what it wants to hear."""
        told = answering(asked)
        told.message_id = object_id(root)
        tree = ObjectTree(
            object_id=object_id(root), children=[ObjectTree(object_id=object_id(o)) for o in others]
        )
        request = PushMessagesRequest(
            node=Node(node_id=self.id),
            messages_list=[ProtoMessage(metadata=told, content=ProtoRecords())],
            message_object_trees=[tree],
        )
        answer = self._superlink.call("push-messages", request, PushMessagesResponse, LIMIT)
        for data in (*others, root):
            if object_id(data) not in answer.objects_to_push:
                continue  # it came with the question
            push = PushObjectRequest(
                node=Node(node_id=self.id), run_id=asked.run_id, object_id=object_id(data),
                object_content=data, session_id=answer.session_id,
            )  # fmt: skip
            assert self._superlink.call("push-object", push, PushObjectResponse, LIMIT).stored


def answering(asked: Metadata) -> Metadata:
    return Metadata(
        run_id=asked.run_id, src_node_id=asked.dst_node_id, dst_node_id=asked.src_node_id,
        reply_to_message_id=asked.message_id, group_id=asked.group_id, created_at=asked.created_at,
        ttl=asked.ttl, message_type=asked.message_type,
    )  # fmt: skip


EMPTY = references("RecordDict", {})


def body(metadata: Metadata) -> bytes:
    return ProtoMessage(metadata=metadata).SerializeToString(deterministic=True)


def good(asked: Metadata) -> tuple[bytes, ...]:
    return encode_object("Message", [object_id(EMPTY)], body(answering(asked))), EMPTY


def by_another(asked: Metadata) -> tuple[bytes, ...]:
    said = answering(asked)
    said.src_node_id = 7
    return encode_object("Message", [object_id(EMPTY)], body(said)), EMPTY


def with_nothing(asked: Metadata) -> tuple[bytes, ...]:
    return (encode_object("Message", [], body(answering(asked))),)


def no_message(asked: Metadata) -> tuple[bytes, ...]:
    return (EMPTY,)


def no_protobuf(asked: Metadata) -> tuple[bytes, ...]:
    return (encode_object("Message", [], b"\xff" * 9),)


def of_a_missing_part(asked: Metadata) -> tuple[bytes, ...]:
    return (encode_object("Message", ["0" * 64], body(answering(asked))),)


def of_no_json(asked: Metadata) -> tuple[bytes, ...]:
    part = encode_object("RecordDict", [], b"{")
    return encode_object("Message", [object_id(part)], body(answering(asked))), part


def of_another_part(asked: Metadata) -> tuple[bytes, ...]:
    part = encode_object("ArrayChunk", [], b"rows")
    return encode_object("Message", [object_id(part)], body(answering(asked))), part


HOSTILE = [by_another, with_nothing, no_message, no_protobuf, of_a_missing_part, of_no_json, of_another_part]


@pytest.fixture(scope="module")
def superlink():
    return FlowerSuperLink(FLWR_IN_MEMORY_DB_NAME, bundle())


class Answering:
    """The grid; each node answers as soon as it is asked."""

    def __init__(self, superlink: FlowerSuperLink, replies: dict[int, tuple[FleetNode, Reply]]) -> None:
        self._grid = connect(superlink)
        self._replies = replies

    def push_messages(self, messages: list[Message]) -> list[str]:
        names = list(self._grid.push_messages(messages))
        node, reply = self._replies[messages[0].metadata.dst_node_id]
        asked = node.pull()
        node.push(asked, *reply(asked))
        return names

    def pull_messages(self, names: list[str]) -> list[Message]:
        return list(self._grid.pull_messages(names))


def answers_of(superlink: FlowerSuperLink, *replies: Reply) -> tuple[dict[int, Answer], list[int]]:
    nodes = [FleetNode(superlink) for _ in replies]
    grid = Answering(superlink, {n.id: (n, reply) for n, reply in zip(nodes, replies, strict=True)})
    messages = [Message(RecordDict(), node.id, "train", ttl=600) for node in nodes]
    answers = exchange(grid, messages, deadline_s=20, max_poll_s=0.01)
    return {answer.node_id: answer for answer in answers}, [node.id for node in nodes]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda reply: reply.__name__)
def test_a_reply_that_cannot_be_read_costs_its_node_the_round_and_nobody_else(superlink, hostile):
    answers, (bad, honest) = answers_of(superlink, hostile, good)
    assert {node: answer.why for node, answer in answers.items()} == {
        bad: Why.UNREADABLE,
        honest: Why.ANSWERED,
    }
    assert answers[honest].reply.metadata.src_node_id == honest


@pytest.mark.parametrize("said", [float("inf"), float("nan"), -1.0, [1.0]])
def test_a_reported_time_that_is_none_is_ignored(said):
    record = MetricRecord({envelope.TRAIN_MS: said, envelope.PROTECT_MS: 3})
    reply = Message(RecordDict({envelope.METRICS: record}), 1, "train")
    assert reported_times(reply) == {envelope.PROTECT_MS: 3.0}
