"""Replies that leave: decided, noted as answered, logged, sent. In this order, so that a kill in between never sends two."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from flwr.common.constant import ErrorCode
from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import ObjectTree, PushObjectRequest, PushObjectResponse
from flwr.proto.node_pb2 import Node
from google.protobuf.message import Message as Proto

from clients.errors import NodeError
from clients.gateway.compose import Reply, coarse, error_reply, sealed_reply
from clients.gateway.objects import CHUNK_DEPTH, MAX_SMALL_OBJECTS, chunk_ids, walk
from clients.gateway.ports import Answered, Holder, OutgoingLog, Sealed, SuperLink, SuperLinkError
from clients.gateway.questions import Questions
from clients.gateway.reply_check import Withheld, judge
from fl_core.errors import DecodeError
from fl_core.protocol import envelope

MAX_ANSWER = 1 << 20  # bytes
FOR_THE_MOMENT = frozenset({500, 503, 504})
"""Statuses that a later attempt may not get: Flower's server failed (its database waits at most five seconds for a writer before
it), nobody answered, or only a proxy did."""
PAUSE_S = 2.0
"""Seconds between two tries when the SuperLink does not answer."""

TELLS_STATUS = frozenset({"train", envelope.ENROL_TYPE})
"""Types of the messages that the node's status answers, whether the app says so or not."""

WITHHELD = "the holder's gateway withheld the reply"
FAILED = "the app failed at the holder; the holder's log says how"
RESTARTED = "the holder's SuperNode ended before it answered"

log = logging.getLogger("suture.gateway")


class Replies:
    """Composes and sends replies; arguments as for :class:`~clients.gateway.gateway.Gateway`."""

    def __init__(
        self,
        holder: Holder,
        superlink: SuperLink,
        questions: Questions,
        outgoing: OutgoingLog,
        *,
        clock: Callable[[], float],
        node: Callable[[], Node],
    ) -> None:
        self._holder = holder
        self._superlink = superlink
        self._questions = questions
        self._log = outgoing
        self._clock = clock
        self._node = node
        self._stop = threading.Event()
        self._sleep: Callable[[float], object] = self._stop.wait
        self._lock = threading.Lock()
        self._sealed: dict[bytes, tuple[Sealed, tuple[str, ...]]] = {}

    def small_objects(self, tree: ObjectTree) -> frozenset[str]:
        """Return the names of a reply's objects that decide about it: all but the chunks, which must be sealed ones.

        Raises:
            Withheld: The tree is none of a reply, or a chunk is not of bytes that the node sealed.
        """
        small: set[str] = set()
        chunks: set[str] = set()
        try:
            for name, depth in walk(tree):
                (chunks if depth == CHUNK_DEPTH else small).add(name)
        except DecodeError as error:
            raise Withheld("the reply has not the tree of a message") from error
        if len(small) > MAX_SMALL_OBJECTS:
            raise Withheld("the reply has more parts than any reply")
        known = {name for _, names in self._index().values() for name in names}
        if not chunks <= known:
            raise Withheld("the reply's payload is not what this node sealed")
        return frozenset(small)

    def decide(self, message_id: str, root: str, objects: Mapping[str, bytes]) -> None:
        """Send what a reply stands for, or an error in its place."""
        asked = self._questions.open(message_id)
        if asked is None:
            return
        index = self._index()
        by_chunks = {chunks: found for found, chunks in index.values()}

        try:
            sealed = judge(asked.message_type, root, objects, by_chunks.get)
        except Withheld as error:
            self.withhold(message_id, str(error))
            return
        try:
            status = self._holder.status() if asked.message_type in TELLS_STATUS else None
        except NodeError as error:
            log.warning("a reply was withheld: %s", error)
            self.withhold(message_id, "the node does not tell its status")
            return
        reply = sealed_reply(
            asked,
            sealed=sealed,
            chunks=() if sealed is None else index[sealed.digest][1],
            times=self._times(sealed),
            status=status,
            now=self._clock(),
        )
        facts: dict[str, str | int] = {"kind": "status"}
        if sealed is not None:
            facts = {"kind": sealed.name, "digest": sealed.digest.hex(), "bytes": sealed.size}
        self._send(message_id, reply, "reply-sent", {"run": str(asked.run_id), **facts})

    def withhold(self, message_id: str, reason: str) -> None:
        """Send an error in place of a reply that does not leave."""
        self._error(
            message_id, ErrorCode.CLIENT_APP_RAISED_EXCEPTION, WITHHELD, "reply-withheld", {"reason": reason}
        )

    def refuse(self, message_id: str, code: int, text: str) -> None:
        """Send an error for a message that is not passed on."""
        self._error(message_id, code, text, "error-sent", {"reason": text})

    def fail(self, message_id: str, length: int) -> None:
        """Send an error in place of the SuperNode's own, whose number and text an app can choose."""
        code = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
        facts: dict[str, str | int] = {"code": code, "withheld_characters": length}
        self._error(message_id, code, FAILED, "error-sent", facts)

    def lose_all(self) -> None:
        """Send an error for every message that is open: the SuperNode that held it is gone, and knows nothing of it any more."""
        for message_id in self._questions.all_open():
            self._error(
                message_id, ErrorCode.CLIENT_APP_CRASHED, RESTARTED, "error-sent", {"reason": RESTARTED}
            )

    def close(self) -> None:
        """Try no call again: what was not sent yet is lost."""
        self._stop.set()

    def _error(
        self, message_id: str, code: int, text: str, event: str, facts: Mapping[str, str | int]
    ) -> None:
        asked = self._questions.open(message_id)
        if asked is not None:
            reply = error_reply(asked, code=code, reason=text, now=self._clock())
            self._send(message_id, reply, event, {"run": str(asked.run_id), **facts})

    def _times(self, sealed: Sealed | None) -> dict[str, int]:
        """Return what the node measured while it sealed a frame, in milliseconds; nothing of what the app says about time."""
        if sealed is None or sealed.name != envelope.FRAME:
            return {}
        try:
            measured = self._holder.times(sealed.digest)
        except (NodeError, DecodeError) as error:
            log.warning("a reply tells no times: %s", error)
            return {}
        return {name: coarse(value) for name, value in measured.items()}

    def _index(self) -> dict[bytes, tuple[Sealed, tuple[str, ...]]]:
        """Return what is sealed now with the names of its chunks, by digest; each is cut and hashed once."""
        with self._lock:
            now = {}
            for found in self._holder.sealed():
                known = self._sealed.get(found.digest)
                now[found.digest] = known if known is not None else (found, chunk_ids(found.read()))
            self._sealed = now
            return dict(now)

    def _send(self, message_id: str, reply: Reply, event: str, facts: Mapping[str, str | int]) -> None:
        if not self._questions.take(message_id):
            return
        self._log.record(event, message=message_id, **facts)
        request = PushMessagesRequest(
            node=self._node(),
            messages_list=[reply.message],
            message_object_trees=[reply.tree],
            clientapp_runtime_list=[0.0],  # nobody needs it
        )
        metadata = reply.message.metadata
        until = metadata.created_at + metadata.ttl
        wanted = self._call("push-messages", request, PushMessagesResponse, until)
        names = set(wanted.objects_to_push)

        def push(name: str, data: bytes) -> None:
            names.discard(name)
            again = PushObjectRequest(
                node=self._node(),
                run_id=metadata.run_id,
                object_id=name,
                object_content=data,
                session_id=wanted.session_id,
            )
            if not self._call("push-object", again, PushObjectResponse, until).stored:
                raise SuperLinkError("push-object: the SuperLink does not take the object", status=502)

        for name, data in reply.chunk_objects():
            if name in names:
                push(name, data)
        for name, data in reply.small.items():
            if name in names:
                push(name, data)

    def _call(self, name: str, request: Proto, kind: type[Answered], until: float) -> Answered:
        """Call the SuperLink; one that does not answer or fails is asked again until Unix time ``until``, when nobody waits any more.

        That repeats no effect: all is content-addressed. A SuperLink that was killed is away for half a minute and more.
        """
        while True:
            try:
                return self._superlink.call(name, request, kind, MAX_ANSWER)
            except SuperLinkError as error:
                if error.status not in FOR_THE_MOMENT or self._clock() >= until or self._stop.is_set():
                    raise
            self._sleep(PAUSE_S)
