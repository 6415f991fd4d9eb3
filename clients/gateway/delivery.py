"""Brings a composed reply to the SuperLink, so that sending it again changes nothing.

What Flower's SuperLink does when ``push-messages`` comes again with the same reply, by its own source in 1.41
(``superlink/servicer/fleet/fleet_handlers.py``, ``server/superlink/linkstate/``, ``supercore/corestate/``, ``supercore/object_store/``);
``tests/unit/clients/gateway/test_flower_superlink.py`` runs that source:

(1) It has nothing of the reply: it stores the message and names all objects that it lacks.
(2) It has the message, and not all objects: it stores nothing twice, names those that lack under a new session, and voids the session
    before.
(3) It has all: it names none.
(4) The ServerApp took the message, which it may before all objects came: it names none, and the new session takes none, for message and reply
    are deleted. The ServerApp waits for the objects that lack, and the session before takes them until three minutes after the last
    one. A push that names no session finds that one.
(5) It has another reply to the message, or waits for none any more: it names none. A run that ended is an error, 403.

The message's own object goes last. So where nothing is named, that object tells (4) from the rest: it is known and has not come. An
object that comes again is declined (``stored`` is false), and so is each of a session that is void or over: then it is asked anew what lacks.
Sessions without objects stay in the SuperLink's database until the run ends; nothing else grows by a repeated call.

Neither call asks whether the node is active: the SuperLink knows it by its key (``superlink/routers/fleet/node_auth.py``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import chain

from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import (
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.proto.node_pb2 import Node
from google.protobuf.message import Message as Proto

from clients.gateway.compose import Reply
from clients.gateway.ports import Answered, SuperLink, SuperLinkError
from clients.gateway.questions import Questions
from ledger.errors import ArchiveError

MAX_ANSWER = 1 << 20  # bytes
FOR_THE_MOMENT = frozenset({500, 503, 504})
"""Statuses that a later attempt may not get: Flower's server failed (its database waits at most five seconds for a writer before
it), nobody answered, or only a proxy did."""
PAUSE_S = 2.0
"""Seconds between two tries when the SuperLink does not answer."""
PASSES = 8
"""How often it is asked what lacks of one reply; each answer of the SuperLink that is lost costs one."""


class Delivery:
    """Sends replies that are on disk, each until the SuperLink has it or nobody waits for it.

    Args:
        superlink: The far side.
        questions: Where the replies are kept.
        clock: Unix time in seconds.
        node: Returns this node as the SuperLink knows it.
    """

    def __init__(
        self,
        superlink: SuperLink,
        questions: Questions,
        *,
        clock: Callable[[], float],
        node: Callable[[], Node],
    ) -> None:
        self._superlink = superlink
        self._questions = questions
        self._clock = clock
        self._node = node
        self._stop = threading.Event()
        self._sleep: Callable[[float], object] = self._stop.wait

    @property
    def ending(self) -> bool:
        """Whether no call is tried again."""
        return self._stop.is_set()

    def close(self) -> None:
        """Try no call again: what was not sent yet stays on disk."""
        self._stop.set()

    def send(self, message_id: str, reply: Reply) -> None:
        """Send the reply to a message, and keep it no longer once it is there, or will never be.

        Raises:
            SuperLinkError: The SuperLink does not take it, or gave no answer. Only where the gateway ends in the reply's time is it still
                kept.
            ArchiveError: Its sealed bytes are gone, for their round ended meanwhile, or are damaged.
        """
        until = end_of(reply)
        try:
            self._bring(reply, until)
        except SuperLinkError as error:
            if error.status not in FOR_THE_MOMENT or not self._clock() < until:
                self._questions.forget(message_id)
            raise
        except ArchiveError:
            self._questions.forget(message_id)
            raise
        self._questions.forget(message_id)

    def _bring(self, reply: Reply, until: float) -> None:
        for _ in range(PASSES):
            names, session = self._lacking(reply, until)
            if not names or self._push(reply, names, session, until):
                return
        raise SuperLinkError("push-object: the SuperLink does not take the reply's objects", status=502)

    def _lacking(self, reply: Reply, until: float) -> tuple[set[str], str]:
        """Return the names of the objects that the SuperLink lacks, and the session that takes them; empty where it finds that itself."""
        request = PushMessagesRequest(
            node=self._node(),
            messages_list=[reply.message],
            message_object_trees=[reply.tree],
            clientapp_runtime_list=[0.0],  # nobody needs it
        )
        wanted = self._call("push-messages", request, PushMessagesResponse, until)
        if wanted.objects_to_push:
            return set(wanted.objects_to_push), wanted.session_id
        run, root = reply.message.metadata.run_id, reply.tree.object_id
        ask = PullObjectRequest(node=self._node(), run_id=run, object_id=root)
        found = self._call("pull-object", ask, PullObjectResponse, until)
        taken_in_part = found.object_found and not found.object_available  # (4)
        return ({*reply.chunks, *reply.small} if taken_in_part else set()), ""

    def _push(self, reply: Reply, names: set[str], session: str, until: float) -> bool:
        """Push these objects, the message's own last; return whether the SuperLink took each of them."""
        all_stored = True
        for name, data in chain(reply.chunk_objects(), reply.small.items()):
            if name not in names:
                continue
            names.discard(name)
            request = PushObjectRequest(
                node=self._node(),
                run_id=reply.message.metadata.run_id,
                object_id=name,
                object_content=data,
                session_id=session,
            )
            stored = self._call("push-object", request, PushObjectResponse, until).stored
            if session and not stored:
                return False
            all_stored = all_stored and stored
        return all_stored

    def _call(self, name: str, request: Proto, kind: type[Answered], until: float) -> Answered:
        """Call the SuperLink; one that does not answer or fails is asked again until Unix time ``until``, when nobody waits any more.

        A SuperLink that was killed is away for half a minute and more.
        """
        while True:
            try:
                return self._superlink.call(name, request, kind, MAX_ANSWER)
            except SuperLinkError as error:
                if error.status not in FOR_THE_MOMENT or not self._clock() < until or self.ending:
                    raise
            self._sleep(PAUSE_S)


def end_of(reply: Reply) -> float:
    """Return the Unix time after which nobody waits for a reply."""
    return float(reply.message.metadata.created_at + reply.message.metadata.ttl)
