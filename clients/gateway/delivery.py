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
A session that is over, three minutes after its last object, takes message and objects with it. A message that nobody took is then stored anew,
as in (1); of one that was taken in part, nothing is left. So where objects lacked before, and now nothing is named and the message's own
object is unknown, nobody waits any more. Unless that object left here and its answer was lost: then the ServerApp may have taken and confirmed
all, which deletes it too, and nobody here can tell the two apart. Sessions without objects stay in the SuperLink's database until the run
ends; nothing else grows by a repeated call.

Neither call asks whether the node is active: the SuperLink knows it by its key (``superlink/routers/fleet/node_auth.py``). A call whose signed
time is more than five minutes off, and one of a node that it does not know, is an error, 401.
"""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from flwr.proto.fleet_pb2 import PushMessagesRequest, PushMessagesResponse
from flwr.proto.message_pb2 import (
    Metadata,
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.proto.node_pb2 import Node
from google.protobuf.message import Message as Proto

from clients.errors import NodeError
from clients.gateway.compose import Reply
from clients.gateway.ports import Answered, SuperLink, SuperLinkError
from clients.gateway.questions import OFF_S, Questions
from ledger.errors import ArchiveError

MAX_ANSWER = 1 << 20  # bytes
FINAL = frozenset({400, 403, 412, 413, 415})
"""Statuses that end a reply, see :func:`is_final`. Flower's to these calls (``supercore/error/catalog.py``, ``supercore/protobuf/``): 400 and 415 for a body that it
cannot read, 403 with a number for a run that ended, 412 for another version of Flower; and 413, a proxy's to a body that is too long for it. Any other may
be another one a moment later: 401 while this machine's clock is off, 500 while Flower's database is busy, 404, 429, 502 to 504 of a proxy."""
FORBIDDEN = 403
PAUSE_S = 2.0
"""Seconds between two tries when the SuperLink does not answer."""
TURN_S = 60.0
"""Seconds after which a call that gets no answer ends the reply's turn: the next one has its turn, and this one comes again behind it."""
SLEWED_S = 10.0
"""Seconds by which a clock may differ from what is remembered of it; a clock that is put right step by step is noted again."""
PASSES = 8
"""How often it is asked what lacks of one reply; each answer of the SuperLink that is lost costs one."""


class NotTaken(NodeError):
    """The SuperLink takes the reply neither now nor later."""


class NotYet(NodeError):
    """The SuperLink did not take all of the reply in its turn; it is kept."""


class Proven:
    """A SuperLink, and whether our clock is right: it was when a call was answered, whose signed time is checked, and was not set since.

    Args:
        superlink: The SuperLink.
        clock: Unix time in seconds.
        steady: Seconds that nobody sets.
        remember: Told how far the two were apart when a call was answered, where that changed; for other processes.

    Attributes:
        steady: The same.
    """

    def __init__(
        self,
        superlink: SuperLink,
        clock: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
        remember: Callable[[float], None] = lambda apart: None,
    ) -> None:
        self._superlink = superlink
        self._clock, self.steady, self._remember = clock, steady, remember
        self._was: float | None = None
        self._remembered = math.inf

    def _apart(self) -> float:
        return self._clock() - self.steady()

    @property
    def proven(self) -> bool:
        """Whether our clock is right. After this machine slept it is not, until the next answer."""
        return self._was is not None and not self.was_set

    @property
    def was_set(self) -> bool:
        """Whether our clock was set by more than :data:`OFF_S` since the last answer; before the first one nobody knows."""
        return self._was is not None and abs(self._apart() - self._was) >= OFF_S

    @property
    def address(self) -> str:
        """Its URL."""
        return self._superlink.address

    @property
    def public_key(self) -> bytes:
        """The node's public key."""
        return self._superlink.public_key

    def call(self, name: str, request: Proto, kind: type[Answered], limit: int) -> Answered:
        """Make one call; see :class:`~clients.gateway.ports.SuperLink`."""
        apart = self._apart()
        answer = self._superlink.call(name, request, kind, limit)
        self._was = apart
        if abs(apart - self._remembered) >= SLEWED_S:
            with suppress(sqlite3.Error):  # the answer counts, and a later one is remembered
                self._remember(apart)
                self._remembered = apart
        return answer


@dataclass(slots=True)
class _Progress:
    """What this process knows of a reply on its way.

    Attributes:
        lacked: The SuperLink named objects that it lacked.
        maybe_whole: The message's own object left, and its answer was lost.
    """

    lacked: bool = False
    maybe_whole: bool = False


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
        self._progress: dict[str, _Progress] = {}
        self._lost = 0

    @property
    def ending(self) -> bool:
        """Whether no call is tried again."""
        return self._stop.is_set()

    def close(self) -> None:
        """Try no call again: what was not sent yet stays on disk."""
        self._stop.set()

    def pause(self) -> None:
        """Wait before something is tried again; not while the gateway ends."""
        self._sleep(PAUSE_S)

    def send(self, message_id: str, reply: Reply, until: float) -> None:
        """Give the reply to a message its turn, and keep it no longer once it is there, or will never be.

        Args:
            message_id: The message.
            reply: Its reply.
            until: Unix time after which nobody waits for it.

        Raises:
            NotTaken: The SuperLink does not take it.
            SuperLinkError: The SuperLink does not take it, for one of the reasons in :data:`FINAL`; with any other, it is still kept.
            NotYet: It did not take all of it; it is still kept.
            ArchiveError: Its sealed bytes are gone, for their round ended meanwhile, or are damaged.
        """
        progress = self._progress.setdefault(message_id, _Progress())
        try:
            self._bring(reply, until, progress)
        except SuperLinkError as error:
            if is_final(error):
                self.forget(message_id)
            raise
        except (NotTaken, ArchiveError):
            self.forget(message_id)
            raise
        self.forget(message_id)

    def forget(self, message_id: str) -> None:
        """Keep the reply to a message no longer."""
        self._questions.forget(message_id)
        self._progress.pop(message_id, None)

    def _bring(self, reply: Reply, until: float, progress: _Progress) -> None:
        for _ in range(PASSES):
            names, session = self._lacking(reply, until, progress)
            if not names:
                return
            progress.lacked = True
            if self._push(reply, names, session, until, progress):
                return
        raise NotYet("push-object: the SuperLink does not take the reply's objects now")

    def _lacking(self, reply: Reply, until: float, progress: _Progress) -> tuple[set[str], str]:
        """Return the names of the objects that the SuperLink lacks, and the session that takes them; empty where it finds that itself.

        Raises:
            NotTaken: It deleted what had come.
        """
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
        if not found.object_found and progress.lacked and not progress.maybe_whole:
            raise NotTaken(
                "nobody waits for it any more: the SuperLink deleted what had come of it, and not all had"
            )
        taken_in_part = found.object_found and not found.object_available  # (4)
        return ({*reply.chunks, *reply.small} if taken_in_part else set()), ""

    def _push(self, reply: Reply, names: set[str], session: str, until: float, progress: _Progress) -> bool:
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
            lost, is_root = self._lost, name == reply.tree.object_id
            try:
                stored = self._call("push-object", request, PushObjectResponse, until).stored
            finally:
                progress.maybe_whole |= is_root and self._lost > lost
            if session and not stored:
                return False
            all_stored = all_stored and stored
        return all_stored

    def _call(self, name: str, request: Proto, kind: type[Answered], until: float) -> Answered:
        """Call the SuperLink; one that does not answer or fails is asked again until the turn, or Unix time ``until``, is over.

        A SuperLink that was killed is away for half a minute and more.
        """
        began = self._clock()
        while True:
            try:
                return self._superlink.call(name, request, kind, MAX_ANSWER)
            except SuperLinkError as error:
                self._lost += not is_final(error)
                now = self._clock()
                over = abs(now - began) >= TURN_S or not now < until  # a clock can be set back
                if is_final(error) or over or self.ending:
                    raise
            self.pause()


def end_of(metadata: Metadata, keep_until: float) -> float:
    """Return the Unix time after which nobody waits for a reply with these metadata, which is kept until ``keep_until`` at the longest."""
    return min(keep_until, float(metadata.created_at + metadata.ttl))  # also where that is no number


def is_final(error: SuperLinkError) -> bool:
    """Return whether the SuperLink will never answer a call otherwise; a 403 without Flower's number is that of a proxy on the way."""
    return error.status in FINAL and (error.status != FORBIDDEN or error.code != 0)
