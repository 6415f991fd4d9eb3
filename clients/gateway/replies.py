"""Replies that leave: decided, noted whole on disk, logged, sent. In this order, so that a kill in between sends one, and never two.

What a gateway before this one noted and did not bring to its end is sent first, as it was noted (:meth:`Replies.send_again`). A kill
before the note leaves the message open: the SuperNode's next start answers it with an error.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping

from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.node_pb2 import Node

from clients.errors import NodeError
from clients.gateway.compose import Reply, coarse, error_reply, sealed_reply
from clients.gateway.delivery import Delivery, end_of
from clients.gateway.kept import Kept
from clients.gateway.objects import CHUNK_DEPTH, MAX_SMALL_OBJECTS, chunk_ids, walk
from clients.gateway.ports import Holder, OutgoingLog, Sealed, SuperLink, SuperLinkError
from clients.gateway.questions import Questions
from clients.gateway.reply_check import Withheld, judge
from fl_core.errors import DecodeError
from fl_core.protocol import envelope
from ledger.errors import ArchiveError

TELLS_STATUS = frozenset({"train", envelope.ENROL_TYPE})
"""Types of the messages that the node's status answers, whether the app says so or not."""

WITHHELD = "the holder's gateway withheld the reply"
FAILED = "the app failed at the holder; the holder's log says how"
RESTARTED = "the holder's SuperNode ended before it answered"
AGAIN = "after a restart of the gateway, whether or not it left before"
"""What the line of a reply says that is sent as a gateway before this one noted it."""

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
        self._questions = questions
        self._log = outgoing
        self._clock = clock
        self.delivery = Delivery(superlink, questions, clock=clock, node=node)
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

    def lose(self, message_ids: Iterable[str]) -> None:
        """Send an error for each of these messages that is still open: the SuperNode that held it is gone, and knows nothing of it any more.

        One whose reply is leaving is open no more when its turn comes: what goes out is sent one after the other.
        """
        for message_id in message_ids:
            self._error(
                message_id, ErrorCode.CLIENT_APP_CRASHED, RESTARTED, "error-sent", {"reason": RESTARTED}
            )

    def send_again(self) -> None:
        """Send what a gateway before this one noted and did not bring to its end: the same bytes, and never another reply.

        It needs no SuperNode and no active node, so it comes before all else: the SuperLink hands a reply out while it hears the node's
        heartbeats, and some time later takes the node for lost.
        """
        for message_id in self._questions.leaving(self._clock()):
            if self.delivery.ending:
                return
            try:
                self._send_again(message_id)
            except (SuperLinkError, ArchiveError) as error:
                log.warning("a reply was not sent: %s", error)

    def close(self) -> None:
        """Try no call again: what was not sent yet is sent after the next start."""
        self.delivery.close()

    def _send_again(self, message_id: str) -> None:
        try:
            kept = Kept.decode(self._questions.kept(message_id))
            sealed, chunks = self._index().get(kept.sealed, (None, ())) if kept.sealed else (None, ())
            if kept.sealed and sealed is None:
                return self._drop(message_id, "its sealed bytes are gone, for their round is over")
            reply = kept.reply(sealed, chunks)
        except DecodeError as error:
            return self._drop(message_id, f"it is damaged ({error})")
        if not self._clock() < end_of(reply):
            return self._drop(message_id, "nobody waits for it any more")
        self._log.record(kept.event, message=message_id, **kept.facts, again=AGAIN)
        self.delivery.send(message_id, reply)

    def _drop(self, message_id: str, why: str) -> None:
        self._questions.forget(message_id)
        log.warning("a reply that a gateway before this one noted is not sent: %s", why)

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
        if self._questions.take(message_id, Kept.of(reply, event, facts).encode()):
            self._log.record(event, message=message_id, **facts)
            self.delivery.send(message_id, reply)
