"""One answer for each call of Flower's fleet protocol. Every request that goes on is written anew here.

====================  =====================================================================================================
call                  what the gateway does
====================  =====================================================================================================
register, unregister  answers itself; it registers its own node key where the SuperLink allows it
activate, deactivate  for its own node id; a node id that a crash left active is deactivated first; what an earlier
                      SuperNode left unanswered is answered with an error
heartbeat             for its own node id, at Flower's pace
pull-messages         a message whose run brings a refused bundle is answered with an error and not passed on; one whose check takes
                      long is passed on at a later call
get-run, get-fab      what :mod:`clients.gateway.bundles` checked; only for runs of messages that came in. What a gateway before this one checked
                      is checked anew; where it is refused now, its messages are answered with an error
pull-object           only objects of messages that came in, checked against their names
confirm               only messages that came in
push-messages         asks the SuperNode for the small objects of its reply; chunks are never asked for
push-object           the last small object decides: the composed reply leaves, or an error in its place
====================  =====================================================================================================
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL
from flwr.proto import fab_pb2, fleet_pb2, heartbeat_pb2, message_pb2, run_pb2
from flwr.proto.node_pb2 import Node
from google.protobuf.message import DecodeError as ProtoError
from google.protobuf.message import Message as Proto

from clients.gateway.arrival import PULL_S
from clients.gateway.bundles import Bundles
from clients.gateway.delivery import FORBIDDEN, Proven, is_final
from clients.gateway.inwards import Inwards, Refused
from clients.gateway.objects import MAX_SMALL_OBJECT, object_id
from clients.gateway.overdue import Overdue
from clients.gateway.ports import Holder, OutgoingLog, SuperLink, SuperLinkError
from clients.gateway.questions import Questions
from clients.gateway.replies import MOMENTARY, Replies
from clients.gateway.reply_check import Withheld
from clients.gateway.sender import AGAIN_S, Sender

MAX_REQUEST = 1 << 16  # bytes
MAX_PUSH = 1 << 20  # bytes; the names of 4096 chunks
MAX_OBJECT_REQUEST = 1 << 18  # bytes; a small object with its envelope
ACTIVATION_FAILED, REGISTRATION_CLOSED, KEY_IN_USE = 2004, 2001, 23
"""Flower's numbers of errors (``flwr/supercore/error``)."""

UNAUTHORIZED, UNAVAILABLE = 401, 503

NODE_ID = "node-id"
NOT_OPEN = "it answers no message that is open: unknown, or answered before"
_REFUSED = b'{"code": 0, "detail": "refused by the gateway"}'
log = logging.getLogger("suture.gateway")


class Answer(NamedTuple):
    """What the SuperNode gets: status and body; an error's body is JSON."""

    status: int
    body: bytes


@dataclass(slots=True)
class _Reply:
    """A reply whose small objects are on their way from the SuperNode."""

    root: str
    small: frozenset[str]
    got: dict[str, bytes] = field(default_factory=dict)
    withheld: bool = False


class Gateway:
    """The SuperNode's only door.

    Args:
        holder: The trusted side.
        superlink: The far side.
        questions: What came in and what was answered.
        log: Where it is written what left.
        clock: Unix time in seconds.
        pull_s: How long one call waits for the check of a message, in seconds.
        again_s: Seconds after which a reply that was not sent is tried again.
        steady: Seconds that nobody sets.

    Attributes:
        overdue: Messages whose time is over; looks for them where nobody else does, once it is started.
    """

    def __init__(
        self,
        holder: Holder,
        superlink: SuperLink,
        questions: Questions,
        log: OutgoingLog,
        *,
        clock: Callable[[], float],
        pull_s: float = PULL_S,
        again_s: float = AGAIN_S,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._superlink = superlink = Proven(superlink, clock, steady, questions.clock_is_right)
        self._questions = questions
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._coming: dict[str, _Reply] = {}
        self._leaving: set[str] = set()  # messages whose reply, or the error in its place, is on its way out
        self.overdue = Overdue(questions, log, clock=clock, sure=lambda: not superlink.was_set)
        self._sender = Sender(again_s)
        self._replies = Replies(
            holder, superlink, questions, log, clock=clock, node=self._node, queue=self._sender.send
        )
        self._inwards = Inwards(
            Bundles(superlink, holder),
            superlink,
            questions,
            log,
            self._replies,
            clock=clock,
            node=self._node,
            pull_s=pull_s,
        )
        self._sender.repeat(self._replies.send_again)
        kinds: Mapping[str, tuple[type[Proto], int, Callable[..., Proto | Refused]]] = {
            "register-node": (fleet_pb2.RegisterNodeFleetRequest, MAX_REQUEST, self._register),
            "activate-node": (fleet_pb2.ActivateNodeRequest, MAX_REQUEST, self._activate),
            "deactivate-node": (fleet_pb2.DeactivateNodeRequest, MAX_REQUEST, self._deactivate),
            "unregister-node": (fleet_pb2.UnregisterNodeFleetRequest, MAX_REQUEST, self._unregister),
            "send-node-heartbeat": (heartbeat_pb2.SendNodeHeartbeatRequest, MAX_REQUEST, self._heartbeat),
            "pull-messages": (fleet_pb2.PullMessagesRequest, MAX_REQUEST, self._pull),
            "get-run": (run_pb2.GetRunRequest, MAX_REQUEST, self._inwards.get_run),
            "get-fab": (fab_pb2.GetFabRequest, MAX_REQUEST, self._inwards.get_fab),
            "pull-object": (message_pb2.PullObjectRequest, MAX_REQUEST, self._inwards.pull_object),
            "confirm-message-received": (
                message_pb2.ConfirmMessageReceivedRequest,
                MAX_REQUEST,
                self._inwards.confirm,
            ),
            "push-messages": (fleet_pb2.PushMessagesRequest, MAX_PUSH, self._push),
            "push-object": (message_pb2.PushObjectRequest, MAX_OBJECT_REQUEST, self._push_object),
        }
        self._calls = kinds

    def limit_of(self, name: str) -> int | None:
        """Return the longest body of a call, in bytes, or None when there is no such call."""
        found = self._calls.get(name)
        return None if found is None else found[1]

    def answer(self, name: str, body: bytes) -> Answer:
        """Answer one call; ``name`` is the last part of its path and known to :meth:`limit_of`."""
        kind, _, handle = self._calls[name]
        try:
            request = kind()
            request.ParseFromString(body)
            result = handle(request)
        except ProtoError:
            result = Refused(400, "not a message of Flower's")
        except SuperLinkError as error:
            log.warning("%s", error)
            result = Refused(_status_for(name, error), "the SuperLink gave no answer")
        except MOMENTARY as error:  # a SuperNode repeats what is answered so, and ends on any other status
            log.warning("%s: %s", name, error)
            return Answer(UNAVAILABLE, _REFUSED)
        if isinstance(result, Refused):
            try:
                self._log.record("call-refused", call=name, reason=result.text)
            except MOMENTARY as error:
                log.warning("a refused call was not written down: %s", error)
            return Answer(result.status, _REFUSED)
        return Answer(200, result.SerializeToString(deterministic=True))

    def too_long(self, name: str) -> None:
        """Take note that a call was longer than its limit; a reply that was on its way is withheld."""
        self._log.record("call-refused", call=name, reason="longer than any such call")
        if name == "push-object":
            with self._lock:
                coming, self._coming = self._coming, {}
                for message_id in coming:
                    self._answer(self._replies.withhold, message_id, "an object of the reply is too long")

    def close(self) -> None:
        """Wait for replies that are being sent; a SuperLink that is away is not waited for, and gets them after the next start."""
        self.overdue.close()
        self._replies.close()
        self._sender.close()

    # ------------------------------------------------------------------ the node

    def _node(self) -> Node:
        known = self._questions.fact(NODE_ID)
        if known is None:
            raise SuperLinkError("this node is not active", status=503)
        return Node(node_id=int(known))

    def _register(self, _: Proto) -> Proto:
        self.overdue.goes_on()  # a SuperNode's first call
        return fleet_pb2.RegisterNodeFleetResponse(node_id=0)

    def _unregister(self, _: Proto) -> Proto:
        return fleet_pb2.UnregisterNodeFleetResponse()

    def _activate(self, _: Proto) -> Proto:
        key = self._superlink.public_key
        try:
            self._superlink.call(
                "register-node",
                fleet_pb2.RegisterNodeFleetRequest(public_key=key),
                fleet_pb2.RegisterNodeFleetResponse,
                MAX_REQUEST,
            )
        except SuperLinkError as error:
            if error.code not in (REGISTRATION_CLOSED, KEY_IN_USE):
                raise
        request = fleet_pb2.ActivateNodeRequest(public_key=key, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL)
        try:
            found = self._superlink.call(
                "activate-node", request, fleet_pb2.ActivateNodeResponse, MAX_REQUEST
            )
        except SuperLinkError as error:
            if error.code != ACTIVATION_FAILED or self._questions.fact(NODE_ID) is None:
                raise
            self._deactivate(None)  # a SuperNode that was killed left it active
            found = self._superlink.call(
                "activate-node", request, fleet_pb2.ActivateNodeResponse, MAX_REQUEST
            )
        self._questions.remember(NODE_ID, str(found.node_id))
        with self._lock:
            self._coming.clear()
        self._inwards.new_supernode()  # what is being checked is answered with the others
        # those that are open now, each for itself: the new SuperNode may pull the next one before their turn comes
        for message_id in self._questions.all_open():
            self._sender.note(self._replies.settle, self._replies.lose, message_id)
        return fleet_pb2.ActivateNodeResponse(node_id=found.node_id)

    def _deactivate(self, _: Proto | None) -> Proto:
        request = fleet_pb2.DeactivateNodeRequest(node_id=self._node().node_id)
        self._superlink.call("deactivate-node", request, fleet_pb2.DeactivateNodeResponse, MAX_REQUEST)
        return fleet_pb2.DeactivateNodeResponse()

    def _heartbeat(self, _: Proto) -> Proto:
        request = heartbeat_pb2.SendNodeHeartbeatRequest(
            node=self._node(), heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL
        )
        return self._superlink.call(
            "send-node-heartbeat", request, heartbeat_pb2.SendNodeHeartbeatResponse, MAX_REQUEST
        )

    def _pull(self, _: Proto) -> Proto:
        self.overdue.goes_on()
        return self._inwards.pull()

    # ------------------------------------------------------------------ outwards

    def _push(self, request: fleet_pb2.PushMessagesRequest) -> Proto | Refused:
        if len(request.messages_list) != 1 or len(request.message_object_trees) != 1:
            return Refused(403, "a push carries one reply")
        message, tree = request.messages_list[0], request.message_object_trees[0]
        asked = message.metadata.reply_to_message_id
        if not self._wanted(asked):
            # a refused call, of which a bundle can make any number; a 403 would end the SuperNode that answers second
            self._log.record("call-refused", call="push-messages", reason=NOT_OPEN)
            return fleet_pb2.PushMessagesResponse()
        small: frozenset[str] = frozenset()
        withheld = ""
        if not message.HasField("error"):
            try:
                small = self._replies.small_objects(tree)
            except Withheld as error:
                withheld = str(error)
        with self._lock:
            if small:
                self._coming[asked] = _Reply(root=tree.object_id, small=small)
            elif withheld:
                self._answer(self._replies.withhold, asked, withheld)
            else:
                self._answer(self._replies.fail, asked, len(message.error.reason))
        return fleet_pb2.PushMessagesResponse(objects_to_push=sorted(small), session_id=asked)

    def _wanted(self, message_id: str) -> bool:
        """Return whether a message is open and nothing is on its way out for it."""
        with self._lock:
            if message_id in self._leaving:
                return False
        return self._questions.open(message_id) is not None

    def _push_object(self, request: message_pb2.PushObjectRequest) -> Proto | Refused:
        name, data = request.object_id, request.object_content
        with self._lock:
            coming = self._coming.get(request.session_id)
            if coming is None or name not in coming.small or object_id(data) != name:
                return Refused(403, "the gateway asked for no such object")
            if len(data) > MAX_SMALL_OBJECT and not coming.withheld:
                coming.withheld = True  # the SuperNode may send the others, which go nowhere
                self._answer(self._replies.withhold, request.session_id, "an object of the reply is too long")
            coming.got[name] = b"" if coming.withheld else data
            if set(coming.got) == coming.small:
                del self._coming[request.session_id]
                if not coming.withheld:
                    self._answer(self._replies.decide, request.session_id, coming.root, coming.got)
        return message_pb2.PushObjectResponse(stored=True)

    def _answer(self, send: Callable[..., None], message_id: str, *arguments: object) -> None:
        """Send the one reply to a message later, unless one is on its way; called under the lock."""
        if message_id in self._leaving:
            return
        self._leaving.add(message_id)

        def answer() -> None:
            try:
                self._replies.settle(send, message_id, *arguments)
            finally:
                with self._lock:
                    self._leaving.discard(message_id)

        self._sender.note(answer)


def _status_for(call: str, error: SuperLinkError) -> int:
    """Return what a SuperNode is told of the SuperLink's error: 503, which it repeats, but for what is final.

    It ends at 401, with the app that it runs, and gives a run up at 403. The first says that the SuperLink does not know our key, or that our clock is
    off; so only a SuperNode that starts is told. A 403 that is none of Flower's comes from a proxy.
    """
    unknown = error.status == UNAUTHORIZED and call == "activate-node"
    ended = error.status == FORBIDDEN and is_final(error)
    return error.status if unknown or ended else UNAVAILABLE
