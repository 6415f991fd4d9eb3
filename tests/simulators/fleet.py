"""A SuperLink, a holder and a SuperNode in memory, for tests of the gateway. Messages are Flower's own, object by object."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field

from flwr.app import Error, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto import fab_pb2, fleet_pb2, heartbeat_pb2, message_pb2, run_pb2
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity

from clients.errors import NodeError
from clients.gateway.gateway import Gateway
from clients.gateway.objects import walk
from clients.gateway.ports import Sealed, SuperLinkError
from tests.simulators.patience import patient

RUN = 77
NODE = 4711


def bundle(name: str = "toy", text: str = "app = 1\n") -> bytes:
    """Build a small app bundle."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        config = f'[project]\nname = "{name}"\nversion = "0.1.0"\n\n[tool.flwr.app]\npublisher = "me"\n'
        archive.writestr(
            "pyproject.toml",
            config + '[tool.flwr.app.components]\nserverapp = "app:app"\nclientapp = "app:app"\n',
        )
        archive.writestr("app.py", text)
    return packed.getvalue()


@dataclass
class ScriptedHolder:
    """Accepts what is in a set, once its ledger is at hand; seals what is in a list."""

    accepted: set[bytes] = field(default_factory=set)
    items: list[Sealed] = field(default_factory=list)
    ledger: threading.Event = field(default_factory=threading.Event)
    broken: bool = False
    measured: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger.set()

    def accepts(self, bundle: bytes) -> bool:
        assert self.ledger.wait(patient(300.0))
        if self.broken:
            raise NodeError("the ledger cannot be read")
        return bundle in self.accepted

    def sealed(self) -> Iterable[Sealed]:
        return list(self.items)

    def times(self, frame: bytes) -> dict[str, int]:
        if self.broken:
            raise NodeError("the node does not answer")
        return self.measured if frame in {item.digest for item in self.items} else {}

    def status(self) -> bytes:
        return b'{"account": "00"}'

    def seal(self, name: str, data: bytes) -> bytes:
        digest = hashlib.sha256(data).digest()
        self.items.append(Sealed(name=name, digest=digest, size=len(data), read=lambda: iter((data,))))
        return data


@dataclass
class Log:
    """Keeps what is recorded."""

    entries: list[tuple[str, dict[str, str | int]]] = field(default_factory=list)

    def record(self, event: str, **facts: str | int) -> None:
        self.entries.append((event, facts))

    def of(self, event: str) -> list[dict[str, str | int]]:
        return [facts for name, facts in self.entries if name == event]


class FleetInMemory:
    """The SuperLink: hands out messages, takes replies, remembers every byte that it was sent.

    A reply that comes again, in whole or in part, is one reply, as at Flower's own (:mod:`clients.gateway.delivery` says how).
    """

    public_key = b"-----BEGIN PUBLIC KEY-----"
    address = "https://superlink.example.org:9092"

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.named = hashlib.sha256(content).hexdigest()
        self.fab_id, self.fab_version = "me/toy", "0.1.0"
        self.waiting: list[Message] = []
        self.objects: dict[str, bytes] = {}
        self.replies: list[fleet_pb2.PushMessagesRequest] = []
        self.received: list[bytes] = []
        self.calls: list[str] = []
        self.active = False
        self.down = 0
        self.failing_with, self.number = 503, 0
        self.mute: list[str] = []
        self._lacking: dict[str, set[str]] = {}
        self._taken: set[str] = set()

    def send(self, message_type: str, content: RecordDict | None = None) -> Message:
        """Queue a message for the node."""
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN, 1, 5
        message = Message(content or RecordDict(), dst_node_id=NODE, message_type=message_type, ttl=600)
        message.metadata.__dict__["_message_id"] = message.object_id
        self.waiting.append(message)
        return message

    def call(self, name, request, kind, limit):
        if self.down:
            self.down -= 1
            raise SuperLinkError("down", status=self.failing_with, code=self.number)
        self.calls.append(name)
        self.received.append(request.SerializeToString())
        answer = getattr(self, "_" + name.replace("-", "_"))(request)
        if name in self.mute:
            self.mute.remove(name)
            raise SuperLinkError("the answer was lost", status=503)
        return answer

    def _register_node(self, request):
        raise SuperLinkError("closed", status=412, code=2001)

    def _activate_node(self, request):
        if self.active:
            raise SuperLinkError("active", status=412, code=2004)
        self.active = True
        return fleet_pb2.ActivateNodeResponse(node_id=NODE)

    def _deactivate_node(self, request):
        self.active = False
        return fleet_pb2.DeactivateNodeResponse()

    def _send_node_heartbeat(self, request):
        return heartbeat_pb2.SendNodeHeartbeatResponse(success=True)

    def _pull_messages(self, request):
        if not self.waiting:
            return fleet_pb2.PullMessagesResponse()
        message = self.waiting.pop(0)
        self.objects |= {name: thing.deflate() for name, thing in get_all_nested_objects(message).items()}
        tree = get_object_tree(message)
        return fleet_pb2.PullMessagesResponse(
            messages_list=[message_to_proto(remove_content_from_message(message))],
            message_object_trees=[tree],
        )

    def _get_run(self, request):
        run = run_pb2.Run(
            run_id=request.run_id, fab_id=self.fab_id, fab_version=self.fab_version, fab_hash=self.named
        )
        return run_pb2.GetRunResponse(run=run)

    def _get_fab(self, request):
        return fab_pb2.GetFabResponse(fab=fab_pb2.Fab(hash_str=self.named, content=self.content))

    def _pull_object(self, request):
        found = self.objects.get(request.object_id)
        known = found is not None or any(request.object_id in names for names in self._lacking.values())
        return message_pb2.PullObjectResponse(
            object_found=known, object_available=found is not None, object_content=found or b""
        )

    def _confirm_message_received(self, request):
        return message_pb2.ConfirmMessageReceivedResponse()

    def _push_messages(self, request):
        [message], [tree] = request.messages_list, request.message_object_trees
        session, asked = f"up-{len(self.calls)}", message.metadata.reply_to_message_id
        nothing = fleet_pb2.PushMessagesResponse(session_id=session)
        first = next((r for r in self.replies if _asked(r) == asked), None)
        if asked in self._taken or (first is not None and first.messages_list[0] != message):
            return nothing
        if first is None:
            self.replies.append(request)
        lacking = [name for name, _ in walk(tree) if name not in self.objects]
        self._lacking = {session: set(lacking)}
        return fleet_pb2.PushMessagesResponse(objects_to_push=lacking, session_id=session)

    def _push_object(self, request):
        assert hashlib.sha256(request.object_content).hexdigest() == request.object_id
        for session, names in self._lacking.items():
            if request.session_id in ("", session) and request.object_id in names:
                names.discard(request.object_id)
                self.objects[request.object_id] = request.object_content
                return message_pb2.PushObjectResponse(stored=True)
        return message_pb2.PushObjectResponse(stored=False)

    def take(self) -> None:
        """Let the ServerApp take the newest reply, whose objects it then waits for."""
        self._taken.add(_asked(self.replies[-1]))

    def reply(self) -> Message:
        """Return the newest reply, put together by Flower."""
        proto = self.replies[-1].messages_list[0]
        if proto.HasField("error"):
            return message_from_proto(proto)
        return inflate_object_from_contents(proto.metadata.message_id, dict(self.objects))


def _asked(request: fleet_pb2.PushMessagesRequest) -> str:
    return request.messages_list[0].metadata.reply_to_message_id


class SuperNode:
    """The glue's side: speaks to the gateway as Flower's SuperNode does, and as an app beside it could."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    def call(self, name, request, kind):
        answer = self.gateway.answer(name, request.SerializeToString())
        assert answer.status == 200, (name, answer)
        response = kind()
        response.ParseFromString(answer.body)
        return response

    def refused(self, name, request) -> int:
        """Make a call that is refused and return its status."""
        answer = self.gateway.answer(name, request.SerializeToString())
        assert answer.status != 200, (name, answer)
        return answer.status

    def activate(self) -> int:
        request = fleet_pb2.ActivateNodeRequest(public_key=b"own", heartbeat_interval=30)
        return self.call("activate-node", request, fleet_pb2.ActivateNodeResponse).node_id

    def pull(self) -> Message | None:
        request = fleet_pb2.PullMessagesRequest(node=Node(node_id=1))
        found = self.call("pull-messages", request, fleet_pb2.PullMessagesResponse)
        return message_from_proto(found.messages_list[0]) if found.messages_list else None

    def push(self, asked: Message, content: RecordDict | Error, *, wait: bool = True) -> set[str]:
        """Send a reply as Flower does and ``wait`` for the gateway; return the names of the objects that it asked for."""
        reply = Message(content, reply_to=asked)
        reply.metadata.__dict__["_message_id"] = reply.object_id
        proto = message_to_proto(remove_content_from_message(reply))
        request = fleet_pb2.PushMessagesRequest(
            node=Node(node_id=1),
            messages_list=[proto],
            message_object_trees=[get_object_tree(reply)],
            clientapp_runtime_list=[1.25],
        )
        response = self.call("push-messages", request, fleet_pb2.PushMessagesResponse)
        objects = get_all_nested_objects(reply)
        for name in response.objects_to_push:
            self.call(
                "push-object",
                message_pb2.PushObjectRequest(
                    run_id=RUN,
                    object_id=name,
                    object_content=objects[name].deflate(),
                    session_id=response.session_id,
                ),
                message_pb2.PushObjectResponse,
            )
        if wait:
            settle(self.gateway)
        return set(response.objects_to_push)


def settle(gateway: Gateway) -> None:
    """Wait until the gateway has sent what it has to send."""
    gateway._sender.settle(30)


def again(gateway: Gateway) -> None:
    """Let the gateway try again now what it does some seconds later by itself, and wait for that."""
    gateway._sender.send(gateway._replies.send_again)
    settle(gateway)
