"""The gateway against a SuperLink and a SuperNode in memory: what comes in, what leaves, and what does not."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto import fab_pb2, fleet_pb2, message_pb2, run_pb2
from flwr.supercore.inflatable.inflatable_object import get_object_tree

from clients.errors import NodeError
from clients.gateway.compose import coarse
from clients.gateway.gateway import Gateway
from clients.gateway.objects import CHUNK_BYTES
from clients.gateway.questions import Questions
from fl_core.protocol import envelope
from tests.simulators.fleet import NODE, RUN, FleetInMemory, Log, ScriptedHolder, SuperNode, bundle, settle

ROWS = b"63,1,145,233,1,2,150,0,2.3\n" * 40
"""Stands for raw records."""


class World:
    def __init__(self, folder, content: bytes | None = None) -> None:
        self.content = bundle() if content is None else content
        self.superlink = FleetInMemory(self.content)
        self.holder = ScriptedHolder(accepted={hashlib.sha256(self.content).digest()})
        self.log = Log()
        self.path = folder / "gateway.sqlite"
        self.restart()
        self.node.activate()

    def restart(self) -> None:
        self.questions = Questions(self.path)
        self.gateway = Gateway(self.holder, self.superlink, self.questions, self.log, clock=time.time)
        self.node = SuperNode(self.gateway)

    def asked(self, message_type: str):
        self.superlink.send(message_type)
        return self.node.pull()

    def frame(self, size: int = 1000) -> bytes:
        return self.holder.seal("frame", np.arange(size, dtype=np.uint8).tobytes())


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.gateway.close()
    made.questions.close()


def sealed(data: bytes, name: str = "frame", stype: str = "suture.sealed.v1") -> ArrayRecord:
    return ArrayRecord({name: Array("uint8", (len(data),), stype, data)})


def error_of(world):
    reply = world.superlink.reply()
    assert reply.has_error()
    return reply.error


def assert_nothing_left(world, secret: bytes = ROWS) -> None:
    for sent in world.superlink.received:
        assert secret[:20] not in sent
        assert secret.hex()[:40].encode() not in sent


# ------------------------------------------------------------------ honest


@pytest.mark.parametrize("size", [1, CHUNK_BYTES, 2 * CHUNK_BYTES + 17])
def test_a_sealed_frame_leaves_whole_and_its_chunks_come_from_the_node(world, size):
    asked, data = world.asked("train"), world.frame(size)
    content = RecordDict(
        {
            envelope.SEALED: sealed(data),
            envelope.METRICS: MetricRecord({envelope.TRAIN_MS: 1234.5678, envelope.PROTECT_MS: 0.3}),
            envelope.CONTROL: ConfigRecord({envelope.STATUS: b"whatever the glue says"}),
        }
    )
    requested = world.node.push(asked, content)
    assert len(requested) == 6, "the chunks are not asked for"
    reply = world.superlink.reply()
    assert reply.content[envelope.SEALED]["frame"].data == data
    assert envelope.METRICS not in reply.content, (
        "the node measured nothing, and the app's word does not count"
    )
    assert reply.content[envelope.CONTROL][envelope.STATUS] == world.holder.status()
    assert reply.metadata.reply_to_message_id == asked.metadata.message_id
    assert (reply.metadata.src_node_id, reply.metadata.dst_node_id) == (NODE, 1)
    assert reply.metadata.ttl <= asked.metadata.ttl
    [sent] = world.log.of("reply-sent")
    assert (sent["digest"], sent["bytes"]) == (hashlib.sha256(data).hexdigest(), size)


def test_an_enrolment_is_answered_with_the_nodes_own_status(world):
    asked = world.asked(envelope.ENROL_TYPE)
    world.node.push(asked, RecordDict({envelope.CONTROL: ConfigRecord({envelope.STATUS: ROWS})}))
    assert world.superlink.reply().content[envelope.CONTROL][envelope.STATUS] == world.holder.status()
    assert_nothing_left(world)


def test_an_answer_to_a_question_leaves_under_its_own_name_only(world):
    answer = world.holder.seal("check", b"signed values")
    world.node.push(world.asked(envelope.CHECK_TYPE), RecordDict({envelope.SEALED: sealed(answer, "check")}))
    assert world.superlink.reply().content[envelope.SEALED]["check"].data == answer
    world.node.push(
        world.asked(envelope.REVEAL_TYPE), RecordDict({envelope.SEALED: sealed(answer, "reveal")})
    )
    assert error_of(world).reason == "the holder's gateway withheld the reply"


def test_an_opened_weight_leaves_once_it_was_asked_for(world):
    opening = world.holder.seal("weight", b"weight and salt")
    world.node.push(
        world.asked(envelope.WEIGHT_TYPE), RecordDict({envelope.SEALED: sealed(opening, envelope.WEIGHT)})
    )
    assert world.superlink.reply().content[envelope.SEALED][envelope.WEIGHT].data == opening
    [sent] = world.log.of("reply-sent")
    assert (sent["kind"], sent["digest"]) == ("weight", hashlib.sha256(opening).hexdigest())


@pytest.mark.parametrize(
    "message_type",
    [
        "train",
        envelope.ENROL_TYPE,
        envelope.CHECK_TYPE,
        envelope.REVEAL_TYPE,
        envelope.BLAME_TYPE,
        envelope.CKKS_TYPE,
    ],
)
def test_an_opened_weight_that_nobody_asked_for_does_not_leave(world, message_type):
    opening = world.holder.seal("weight", b"weight and salt")
    world.node.push(world.asked(message_type), RecordDict({envelope.SEALED: sealed(opening, "weight")}))
    assert error_of(world).reason == "the holder's gateway withheld the reply"
    assert world.log.of("reply-sent") == []
    assert_nothing_left(world, opening * 2)


def test_an_opened_weight_beside_what_was_asked_for_does_not_leave_either(world):
    opening, frame = world.holder.seal("weight", b"weight and salt"), world.frame()
    both = ArrayRecord({**sealed(frame), **sealed(opening, "weight")})
    world.node.push(world.asked("train"), RecordDict({envelope.SEALED: both}))
    assert error_of(world).reason == "the holder's gateway withheld the reply"


@pytest.mark.parametrize("name", ["frame", "check", "reveal", "blame", "ckks"])
def test_whoever_asks_for_a_weight_gets_nothing_else(world, name):
    other = world.holder.seal(name, b"signed and sealed")
    for said in (name, "weight"):  # under its own name, and passed off as a weight
        world.node.push(world.asked(envelope.WEIGHT_TYPE), RecordDict({envelope.SEALED: sealed(other, said)}))
        assert error_of(world).reason == "the holder's gateway withheld the reply"
    assert world.log.of("reply-sent") == []


# ------------------------------------------------------------------ hostile replies

HOSTILE = {
    "raw rows as the payload": lambda good: RecordDict({envelope.SEALED: sealed(ROWS)}),
    "raw rows beside the payload": lambda good: RecordDict(
        {envelope.SEALED: sealed(good), "extra": ArrayRecord({"x": Array(np.frombuffer(ROWS, np.uint8))})}
    ),
    "raw rows as a second array": lambda good: RecordDict(
        {envelope.SEALED: ArrayRecord({**sealed(good), "x": Array("uint8", (len(ROWS),), "s", ROWS)})}
    ),
    "raw rows in a config record": lambda good: RecordDict(
        {envelope.SEALED: sealed(good), envelope.CONTROL: ConfigRecord({"rows": ROWS})}
    ),
    "raw rows in a config record of another name": lambda good: RecordDict(
        {envelope.SEALED: sealed(good), ROWS.hex(): ConfigRecord({envelope.STATUS: b""})}
    ),
    "a value as a metric": lambda good: RecordDict(
        {envelope.SEALED: sealed(good), envelope.METRICS: MetricRecord({"age": 63.0})}
    ),
    "values as a list in a time": lambda good: RecordDict(
        {envelope.SEALED: sealed(good), envelope.METRICS: MetricRecord({envelope.TRAIN_MS: [63.0, 1.0]})}
    ),
    "raw rows as the name of an array": lambda good: RecordDict({envelope.SEALED: sealed(good, ROWS.hex())}),
    "raw rows as the array's type": lambda good: RecordDict(
        {envelope.SEALED: sealed(good, stype=ROWS.hex())}
    ),
    "raw rows as the array's shape": lambda good: RecordDict(
        {envelope.SEALED: ArrayRecord({"frame": Array("uint8", tuple(ROWS), "suture.sealed.v1", good)})}
    ),
    "a frame with rows behind it": lambda good: RecordDict({envelope.SEALED: sealed(good + ROWS)}),
    "nothing": lambda good: RecordDict(),
    "many records": lambda good: RecordDict({str(i): ConfigRecord({"i": i}) for i in range(100)}),
    "a long record": lambda good: RecordDict(
        {envelope.SEALED: sealed(good), envelope.CONTROL: ConfigRecord({envelope.STATUS: bytes(1 << 17)})}
    ),
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_reply_that_is_more_than_a_sealed_frame_is_replaced_by_an_error(world, attack):
    asked = world.asked("train")
    world.node.push(asked, HOSTILE[attack](world.frame()))
    assert error_of(world).reason == "the holder's gateway withheld the reply"
    assert len(world.superlink.replies) == 1
    assert len(world.log.of("reply-withheld")) == 1
    assert world.log.of("reply-sent") == []
    assert_nothing_left(world)


def test_the_text_of_an_error_stays_in_the_house(world):
    world.node.push(world.asked("train"), Error(2, ROWS.decode()))
    assert (error_of(world).code, "63,1" in error_of(world).reason) == (2, False)
    for code in (0, 1, 3, 7, 123456789):
        world.node.push(world.asked("train"), Error(code, "x"))
        assert error_of(world).code == 2, "a number of the app's own says nothing either"
    assert_nothing_left(world)


def test_a_message_is_answered_once_also_after_a_restart(world):
    asked, data = world.asked("train"), world.frame()
    content = RecordDict({envelope.SEALED: sealed(data)})
    world.node.push(asked, content)
    world.node.push(asked, content)
    world.gateway.close()
    world.questions.close()
    world.restart()
    world.node.push(asked, Error(2, "again"))
    assert len(world.superlink.replies) == 1
    assert [(e["call"], e["reason"]) for e in world.log.of("call-refused")] == [
        ("push-messages", "it answers no message that is open: unknown, or answered before")
    ] * 2
    assert world.log.of("reply-withheld") == []


def test_late_pushes_without_end_are_refused_calls_and_no_entries(world):
    asked = world.asked("train")
    world.node.push(asked, RecordDict({envelope.SEALED: sealed(world.frame())}))
    before = [event for event, _ in world.log.entries if event != "call-refused"]
    for _ in range(50):
        world.node.push(asked, Error(2, "again"))
    assert [event for event, _ in world.log.entries if event != "call-refused"] == before
    assert len(world.log.of("call-refused")) == 50


@pytest.mark.parametrize("kind", ["an error", "rows", "both in turn"])
def test_a_message_is_withheld_once_whatever_comes_while_the_reply_waits_for_the_superlink(world, kind):
    asked, begun, held = world.asked("train"), threading.Event(), threading.Event()

    def earlier_reply() -> None:  # whose node takes its time
        begun.set()
        held.wait(30)

    world.gateway._sender.note(earlier_reply)
    assert begun.wait(30)
    rows, error = RecordDict({envelope.SEALED: sealed(ROWS)}), Error(2, "again")
    for number in range(50):
        content = {"an error": error, "rows": rows}.get(kind, rows if number % 2 else error)
        world.node.push(asked, content, wait=False)
    assert world.gateway._sender._notes._work_queue.qsize() == 1, (
        "one reply waits, however often the app answers"
    )
    held.set()
    settle(world.gateway)
    assert len(world.superlink.replies) == 1
    assert len(world.log.of("reply-withheld")) + len(world.log.of("error-sent")) == 1
    assert len(world.log.of("call-refused")) == 49


# ------------------------------------------------------------------ numbers of the app's choice


def _sent(world, content: RecordDict) -> Message:
    world.node.push(world.asked("train"), content)
    return world.superlink.reply()


@pytest.mark.parametrize("chosen", [0.0, 63.0, 1234.5678, 1e9, float("nan"), float("inf"), None])
def test_no_number_of_the_apps_leaves_and_times_are_the_nodes(world, chosen):
    world.holder.measured = {envelope.TRAIN_MS: 1449, envelope.PROTECT_MS: 96}
    content = RecordDict({envelope.SEALED: sealed(world.frame())})
    if chosen is not None:
        content[envelope.METRICS] = MetricRecord({envelope.TRAIN_MS: chosen, envelope.PROTECT_MS: chosen})
    reply = _sent(world, content)
    assert dict(reply.content[envelope.METRICS]) == {envelope.TRAIN_MS: 1000, envelope.PROTECT_MS: 100}
    assert list(world.superlink.replies[-1].clientapp_runtime_list) == [0.0]


def test_replies_differ_in_nothing_that_the_app_says_beside_the_frame(world):
    world.holder.measured = {envelope.TRAIN_MS: 5, envelope.PROTECT_MS: 5}
    frame, kinds = world.frame(), set()
    for chosen in (
        {},
        {envelope.METRICS: MetricRecord()},
        {envelope.CONTROL: ConfigRecord({envelope.STATUS: ROWS})},
    ):
        reply = _sent(world, RecordDict({envelope.SEALED: sealed(frame), **chosen}))
        kinds.add(str(sorted((name, str(dict(record))) for name, record in reply.content.items())))
    assert len(kinds) == 1


@pytest.mark.parametrize(
    ("measured", "told"), [(0, 0), (9, 9), (14, 10), (96, 100), (1449, 1000), (86_400_000, 90_000_000)]
)
def test_a_time_has_one_digit(measured, told):
    assert coarse(measured) == told


def test_a_reply_says_when_it_was_made_in_whole_seconds(world):
    asked = world.asked("train")
    later = asked.metadata.created_at + 7.654321
    world.gateway._replies._clock = lambda: later
    world.node.push(asked, Error(2, "x"))
    assert world.superlink.reply().metadata.created_at == int(later)


def test_a_node_that_does_not_tell_its_times_costs_no_reply(world, monkeypatch):
    def silent(_):
        raise NodeError("the node does not answer")

    monkeypatch.setattr(world.holder, "times", silent)
    reply = _sent(world, RecordDict({envelope.SEALED: sealed(world.frame())}))
    assert envelope.METRICS not in reply.content and envelope.SEALED in reply.content


def test_two_replies_that_race_for_one_message_give_one(world):
    asked, data = world.asked("train"), world.frame()
    first = world.gateway._replies
    world.node.push(asked, RecordDict({envelope.SEALED: sealed(data)}))
    first.withhold(asked.metadata.message_id, "late")
    assert len(world.superlink.replies) == 1


def test_a_message_that_never_came_cannot_be_answered(world):
    asked = world.asked("train")
    real = asked.metadata.message_id
    forged = real[:-1] + ("0" if real[-1] != "0" else "1")
    asked.metadata.__dict__["_message_id"] = forged
    world.node.push(asked, RecordDict({envelope.SEALED: sealed(world.frame())}))
    assert world.superlink.replies == []


def test_a_superlink_that_is_away_for_a_moment_gets_the_reply_later(world):
    world.gateway._replies.delivery._sleep = lambda _: None
    asked, data = world.asked("train"), world.frame()
    world.superlink.down = 3
    world.node.push(asked, RecordDict({envelope.SEALED: sealed(data)}))
    assert world.superlink.reply().content[envelope.SEALED]["frame"].data == data


# ------------------------------------------------------------------ other ways out


def test_no_call_carries_bytes_of_the_supernodes_choice(world):
    asked = world.asked("train")
    secret = hashlib.sha256(ROWS).hexdigest()
    node = world.node
    assert node.refused("pull-object", message_pb2.PullObjectRequest(run_id=RUN, object_id=secret)) == 403
    confirm = message_pb2.ConfirmMessageReceivedRequest(run_id=RUN, message_object_id=secret)
    assert node.refused("confirm-message-received", confirm) == 403
    assert node.refused("get-run", run_pb2.GetRunRequest(run_id=123)) == 403
    assert node.refused("get-fab", fab_pb2.GetFabRequest(run_id=RUN, hash_str=secret)) == 403
    push = message_pb2.PushObjectRequest(run_id=RUN, object_id=secret, object_content=ROWS, session_id=secret)
    assert node.refused("push-object", push) == 403
    node.call(
        "register-node",
        fleet_pb2.RegisterNodeFleetRequest(public_key=ROWS),
        fleet_pb2.RegisterNodeFleetResponse,
    )
    node.call(
        "deactivate-node",
        fleet_pb2.DeactivateNodeRequest(node_id=int.from_bytes(ROWS[:8], "big")),
        fleet_pb2.DeactivateNodeResponse,
    )
    for sent in world.superlink.received:
        assert secret.encode() not in sent and ROWS[:8] not in sent
    assert asked is not None


def test_a_body_that_is_too_long_withholds_the_reply_that_was_on_its_way(world):
    asked, data = world.asked("train"), world.frame()
    reply = RecordDict({envelope.SEALED: sealed(data)})
    message = fleet_pb2.PushMessagesRequest()
    answer = Message(reply, reply_to=asked)
    message.messages_list.append(message_to_proto(remove_content_from_message(answer)))
    message.message_object_trees.append(get_object_tree(answer))
    world.node.call("push-messages", message, fleet_pb2.PushMessagesResponse)
    world.gateway.too_long("push-object")
    settle(world.gateway)
    assert error_of(world).reason == "the holder's gateway withheld the reply"


# ------------------------------------------------------------------ bundles


def test_a_bundle_that_the_holder_did_not_accept_does_not_come_in(world):
    world.holder.accepted.clear()
    assert world.asked("train") is None
    settle(world.gateway)
    assert (error_of(world).code, len(world.superlink.replies)) == (7, 1)
    [refused] = world.log.of("bundle-refused")
    assert refused["bundle"] == world.superlink.named


def test_consent_that_is_withdrawn_counts_from_the_next_message(world):
    assert world.asked("train") is not None
    world.holder.accepted.clear()
    assert world.asked("train") is None


def _another_bytes(world):
    world.superlink.content = bundle(text="app = 2\n")


def _another_name(world):
    world.superlink.fab_id = "me/other"


def _climbing_name(world):
    world.superlink.fab_version = "../../../../tmp/x"


def _short_digest(world):
    world.superlink.named = world.superlink.named[:8]


@pytest.mark.parametrize("lie", [_another_bytes, _another_name, _climbing_name, _short_digest])
def test_a_superlink_that_sends_another_bundle_than_accepted_is_refused(world, lie):
    lie(world)
    assert world.asked("train") is None
    assert len(world.log.of("bundle-refused")) == 1


def test_a_superlink_that_changes_the_bundle_of_a_run_gains_nothing(world):
    assert world.asked("train") is not None
    other = bundle(text="app = 2\n")
    world.superlink.content, world.superlink.named = other, hashlib.sha256(other).hexdigest()
    assert world.asked("train") is not None, "the run keeps its first bundle"
    found = world.node.call("get-fab", _fab_request(world.content), fab_pb2.GetFabResponse)
    assert found.fab.content == world.content
    assert world.node.refused("get-fab", _fab_request(other)) == 403


def _fab_request(content: bytes) -> fab_pb2.GetFabRequest:
    return fab_pb2.GetFabRequest(run_id=RUN, hash_str=hashlib.sha256(content).hexdigest())


def test_an_object_that_is_not_what_its_name_says_does_not_come_in(world):
    message = world.superlink.send("train", RecordDict({"c": ConfigRecord({"x": 1})}))
    world.node.pull()
    name = next(n for n in world.superlink.objects if n != message.metadata.message_id)
    request = message_pb2.PullObjectRequest(run_id=RUN, object_id=name)
    assert world.node.call("pull-object", request, message_pb2.PullObjectResponse).object_available
    world.superlink.objects[name] += b"x"
    assert world.node.refused("pull-object", request) == 403


# ------------------------------------------------------------------ the node at the SuperLink


def test_a_supernode_that_was_killed_is_let_in_again_at_once(world):
    assert world.superlink.active
    assert world.node.activate() == NODE
    assert world.superlink.calls[-3:] == ["activate-node", "deactivate-node", "activate-node"]


def test_the_supernodes_own_key_goes_no_further(world):
    assert not any(b"own" in sent for sent in world.superlink.received)
    assert any(world.superlink.public_key in sent for sent in world.superlink.received)


def test_garbage_is_a_bad_request_and_the_gateway_goes_on(world):
    for name in ("push-messages", "pull-object", "activate-node"):
        assert world.gateway.answer(name, b"\xff\xff\xff").status == 400
    assert world.asked("train") is not None


def test_a_superlink_without_answer_makes_the_supernode_wait(world):
    world.superlink.down = 1
    assert world.node.refused("pull-messages", fleet_pb2.PullMessagesRequest()) == 503
    assert replace(world.holder).accepted


def test_a_message_whose_time_is_over_is_given_up_once(world):
    asked = world.asked("train")
    assert not world.questions.give_up(time.time())
    later = time.time() + asked.metadata.ttl + 1
    assert world.questions.give_up(later)
    assert not world.questions.give_up(later)
    world.node.push(asked, RecordDict({envelope.SEALED: sealed(world.frame())}))
    assert world.superlink.replies == []
