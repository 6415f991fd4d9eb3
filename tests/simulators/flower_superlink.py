"""Flower's own SuperLink without its HTTP server: its state, its object store and its handlers, called as its routers call them."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.constant import NOOP_FLWR_AID, SUPERLINK_NODE_ID, SubStatus
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import PullObjectRequest, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import PullAppMessagesRequest, PushAppMessagesRequest
from flwr.proto.task_pb2 import Task
from flwr.server.superlink.linkstate import LinkStateFactory
from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
from flwr.supercore.corestate import in_memory_corestate, sql_corestate
from flwr.supercore.date import now
from flwr.supercore.error import FlowerError
from flwr.supercore.error.catalog import API_ERROR_MAP
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.federation import NoOpFederationManager
from flwr.superlink.servicer.fleet import fleet_handlers
from flwr.superlink.servicer.runtime import runtime_handlers

from clients.gateway.objects import walk
from clients.gateway.ports import SuperLinkError


class FlowerSuperLink:
    """A SuperLink with one run whose ServerApp is at work; a :class:`~clients.gateway.ports.SuperLink`.

    Args:
        database: Path of its database, or Flower's name for none.
        bundle: The run's app.
    """

    address = "https://superlink.example.org:9092"

    def __init__(self, database: str, bundle: bytes) -> None:
        self.content = bundle
        self.know_new_node()
        objects = ObjectStoreFactory(database)
        self.state = LinkStateFactory(database, NoOpFederationManager(), objects).state()
        digest = self.state.store_fab(Fab(hashlib.sha256(bundle).hexdigest(), bundle, {}))
        run = self.state.create_run(
            "me/toy", "0.1.0", digest, {}, NOOP_FEDERATION_ID, None, NOOP_FLWR_AID, TaskType.SERVER_APP
        )
        [info] = self.state.get_run_info(run_ids=[run])
        assert self.state.claim_task(info.primary_task_id) and self.state.activate_task(info.primary_task_id)
        self.task = Task(run_id=run, task_id=info.primary_task_id)
        self.asked = ""

    def know_new_node(self) -> None:
        """Speak with another node from now on."""
        self.public_key = public_key_to_bytes(ec.generate_private_key(ec.SECP384R1()).public_key())
        self.calls: list[str] = []
        self.received: list[bytes] = []

    def call(self, name: str, request: Any, kind: Any, limit: int) -> Any:
        """Call the handler of a path."""
        self.calls.append(name)
        self.received.append(request.SerializeToString())
        handler = getattr(fleet_handlers, name.replace("-", "_"))
        all_arguments = {
            "state": self.state,
            "store": self.state.object_store,
            "enable_supernode_auth": False,
        }
        wanted = inspect.signature(handler).parameters
        try:
            answer = handler(request, **{n: v for n, v in all_arguments.items() if n in wanted})
        except FlowerError as error:
            status = int(API_ERROR_MAP[error.code].http_status_code)
            raise SuperLinkError(f"{name}: {error}", status=status, code=int(error.code)) from error
        assert isinstance(answer, kind) and answer.ByteSize() <= limit
        return answer

    def send(self, message_type: str) -> None:
        """Send a message to the node, as a ServerApp does that is alive."""
        assert self.state.acknowledge_task_heartbeat(self.task.task_id)
        node = self.state.get_node_id_by_public_key(self.public_key)
        assert node is not None
        TaskIdentity.run_id, TaskIdentity.node_id = self.task.run_id, SUPERLINK_NODE_ID
        TaskIdentity.task_id = self.task.task_id
        message = Message(RecordDict(), dst_node_id=node, message_type=message_type, ttl=600)
        self.asked = message.metadata.__dict__["_message_id"] = message.object_id
        request = PushAppMessagesRequest(
            messages_list=[message_to_proto(remove_content_from_message(message))],
            message_object_trees=[get_object_tree(message)],
        )
        answer = runtime_handlers.push_messages(request, self.state, self.task)
        assert list(answer.message_ids) == [self.asked]
        objects = get_all_nested_objects(message)
        for name in answer.objects_to_push:
            push = PushObjectRequest(
                node=Node(node_id=SUPERLINK_NODE_ID), run_id=self.task.run_id, object_id=name,
                object_content=objects[name].deflate(), session_id=answer.session_id,
            )  # fmt: skip
            assert runtime_handlers.push_object(push, self.state, self.task).stored

    def pass_time(self, seconds: float) -> None:
        """Set its clock forward; the ServerApp is heard of all the while."""
        for _ in range(math.ceil(seconds / 30)):
            self._ahead += timedelta(seconds=30)
            assert self.state.acknowledge_task_heartbeat(self.task.task_id)

    @contextmanager
    def own_clock(self) -> Iterator[None]:
        """Let :meth:`pass_time` move the clock that Flower's state reads."""
        self._ahead = timedelta()
        with pytest.MonkeyPatch.context() as patch:
            for module in (in_memory_corestate, sql_corestate):
                patch.setattr(module, "now", lambda: now() + self._ahead)
            yield

    def take(self) -> list[tuple[Any, Any]]:
        """Pull replies to the newest message, as a ServerApp does; return them with the trees of their objects."""
        request = PullAppMessagesRequest(message_ids=[self.asked])
        answer = runtime_handlers.pull_messages(request, self.state, self.task)
        return list(zip(answer.messages_list, answer.message_object_trees, strict=True))

    def whole(self, reply: tuple[Any, Any]) -> Message:
        """Pull the objects of a reply, all of which must have come, put it together, and confirm it, which deletes it there."""
        message, tree = reply
        objects = {}
        for name in {name for name, _ in walk(tree)}:
            request = PullObjectRequest(
                node=Node(node_id=SUPERLINK_NODE_ID), run_id=self.task.run_id, object_id=name
            )
            answer = runtime_handlers.pull_object(request, self.state, self.task)
            assert answer.object_available, f"{name} lacks"
            objects[name] = answer.object_content
        self.state.object_store.delete(message.metadata.message_id)
        found = inflate_object_from_contents(message.metadata.message_id, objects)
        assert isinstance(found, Message)
        return found

    def end_run(self) -> None:
        """Let the ServerApp come to its end."""
        assert self.state.finish_task(self.task.task_id, SubStatus.COMPLETED, "")
