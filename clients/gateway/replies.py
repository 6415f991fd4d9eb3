"""Replies that leave: decided, noted whole on disk, logged, sent. In this order, so that a kill in between sends one, and never two.

What is noted and was not brought to its end, by this gateway or one before it, is sent as it was noted (:meth:`Replies.send_again`), where the
holder still accepts the bundle that it answers. A kill before the note leaves the message open: the SuperNode's next start answers it
with an error.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.node_pb2 import Node

from clients.errors import NodeError
from clients.gateway.bundles import BundleRefused
from clients.gateway.compose import Reply, coarse, error_reply, sealed_reply
from clients.gateway.delivery import Delivery, Proven, end_of, is_final
from clients.gateway.kept import Kept
from clients.gateway.objects import CHUNK_DEPTH, MAX_SMALL_OBJECTS, chunk_ids, walk
from clients.gateway.ports import Holder, OutgoingLog, Sealed, SuperLinkError
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
AGAIN = "once more: it was noted before, whether or not it left then"
"""What the line of a reply says that is sent as a gateway before this one noted it."""
CONSENT_IS_OVER = "the holder has not accepted this bundle on the ledger any more; parts may have left before"
OTHER_SUPERLINK = "it answers another SuperLink; parts may have gone there before"

PATIENCE_S = 300.0
"""Seconds for which the node, its register, or room on the disk is waited for; a node that is started anew is away for less."""
MOMENTARY = (NodeError, ArchiveError, OSError, sqlite3.Error)
"""What may go well a moment later, but for what :func:`_is_final` tells."""

_REPLY = "reply-sent"
Done = TypeVar("Done")
log = logging.getLogger("suture.gateway")


class Replies:
    """Composes and sends replies; ``queue`` gives one its turn, the other arguments as for :class:`~clients.gateway.gateway.Gateway`."""

    def __init__(
        self,
        holder: Holder,
        superlink: Proven,
        questions: Questions,
        outgoing: OutgoingLog,
        *,
        clock: Callable[[], float],
        node: Callable[[], Node],
        queue: Callable[[Callable[[], None]], None],
    ) -> None:
        self._holder = holder
        self._superlink = superlink
        self._queue = queue
        self._questions = questions
        self._log = outgoing
        self._clock = clock
        self.delivery = Delivery(superlink, questions, clock=clock, node=node)
        self._lock = threading.Lock()
        self._names: dict[bytes, tuple[str, ...]] = {}
        self._turns = threading.Lock()
        self._queued: set[str] = set()  # messages whose reply waits for its turn, or has it
        self._told: set[str] = set()  # messages whose reply has its line by this process

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
        """Send what a reply stands for, or an error in its place.

        Raises:
            NodeError: The node does not tell what belongs to it.
        """
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
        status = self._holder.status() if asked.message_type in TELLS_STATUS else None
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
        self._send(message_id, reply, _REPLY, {"run": str(asked.run_id), **facts})

    def settle(self, decide: Callable[..., None], message_id: str, *arguments: object) -> None:
        """Decide about a message, as soon as node and disk allow it; where they do not, an error is sent in place of the reply."""
        try:
            self.insist(partial(decide, message_id, *arguments))
        except MOMENTARY as error:
            log.warning("a reply was withheld: %s", error)
            self.withhold(message_id, "the node, its folder or its disk does not answer")

    def insist(self, act: Callable[[], Done], until: float = math.inf) -> Done:
        """Do something that needs the node or the disk; what fails is tried again for :data:`PATIENCE_S`, or until Unix time ``until``."""
        began, told = self._superlink.steady(), False
        while True:
            try:
                return act()
            except MOMENTARY as error:
                ended = not self._clock() < until and not self._superlink.was_set
                over = self._superlink.steady() - began >= PATIENCE_S or ended
                if over or _is_final(error) or self.delivery.ending:
                    raise
                if not told:
                    log.warning("it is tried again: %s", error)
                told = True
            self.delivery.pause()

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

    def lose(self, message_id: str) -> None:
        """Send an error for a message that is still open: the SuperNode that held it is gone, and knows nothing of it any more.

        One whose reply is noted is open no more when its turn comes: replies are noted one after the other.
        """
        code = ErrorCode.CLIENT_APP_CRASHED
        self._error(message_id, code, RESTARTED, "error-sent", {"reason": RESTARTED})

    def send_again(self) -> None:
        """Queue what is noted and was not brought to its end, each for a turn of its own: the same bytes, and never another reply.

        It needs no SuperNode and no active node: the SuperLink hands a reply out while it hears the node's heartbeats, and some time later
        takes the node for lost.
        """
        kept = self._questions.leaving(self._clock() if self._superlink.proven else None)
        self._told.intersection_update(kept)
        for message_id in kept:
            with self._turns:
                if message_id in self._queued:
                    continue
                self._queued.add(message_id)
            self._queue_turn(message_id, partial(self._send_again, message_id))

    def close(self) -> None:
        """Try no call again: what was not sent yet is sent after the next start."""
        self.delivery.close()

    def _send_again(self, message_id: str) -> None:
        try:
            kept = Kept.decode(self._questions.kept(message_id))
        except DecodeError as error:
            return self._drop(message_id, f"it is damaged ({error})")
        until = end_of(kept.metadata(), self._questions.keep_until(message_id))
        if not self._clock() < until:
            if self._superlink.proven:  # before that our own clock may be off
                self._drop(message_id, "nobody waits for it any more")
            return
        if kept.superlink != self._superlink.address:
            return self._keep_back(message_id, kept, OTHER_SUPERLINK)
        if kept.event == _REPLY and not (kept.bundle and self._holder.accepts(kept.bundle)):
            return self._keep_back(message_id, kept, CONSENT_IS_OVER)
        # only now, for the node is up and its register at hand
        found = next((item for item in self._holder.sealed() if item.digest == kept.sealed), None)
        if kept.sealed and found is None:
            return self._drop(message_id, "its sealed bytes are gone, for their round is over")
        try:
            reply = kept.reply(found, () if found is None else self._cut(found))
        except DecodeError as error:
            return self._drop(message_id, f"it is damaged ({error})")
        if message_id not in self._told:
            self._log.record(kept.event, message=message_id, **kept.facts, again=AGAIN)
            self._told.add(message_id)
        self.delivery.send(message_id, reply, until)

    def _drop(self, message_id: str, why: str) -> None:
        self.delivery.forget(message_id)
        log.warning("a reply that was noted before is not sent: %s", why)

    def _keep_back(self, message_id: str, kept: Kept, why: str) -> None:
        facts: dict[str, str | int] = {"run": kept.facts.get("run", ""), "reason": why}
        self._log.record("reply-withheld", message=message_id, **facts)
        self.delivery.forget(message_id)

    def _queue_turn(self, message_id: str, send: Callable[[], None]) -> None:
        def turn() -> None:
            try:
                if not self.delivery.ending:
                    send()
            finally:
                with self._turns:
                    self._queued.discard(message_id)

        self._queue(turn)

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
        """Return what is sealed now with the names of its chunks, by digest; without what cannot be read now."""
        now = {}
        for found in self._holder.sealed():
            try:
                now[found.digest] = (found, self._cut(found))
            except (ArchiveError, OSError) as error:
                log.warning("sealed bytes cannot be read: %s", error)
        with self._lock:
            self._names = {digest: names for digest, (_, names) in now.items()}
        return now

    def _cut(self, item: Sealed) -> tuple[str, ...]:
        """Return the names of the chunks of sealed bytes, which are read and hashed once."""
        with self._lock:
            if item.digest not in self._names:
                self._names[item.digest] = chunk_ids(item.read())
            return self._names[item.digest]

    def _send(self, message_id: str, reply: Reply, event: str, facts: Mapping[str, str | int]) -> None:
        """Note a reply and queue it; nothing happens if its message is not open any more."""
        run = reply.message.metadata.run_id
        bundle = self._questions.bundle_of(run) if event == _REPLY else b""
        kept = Kept.of(reply, event, facts, superlink=self._superlink.address, bundle=bundle)

        def first() -> None:
            self._log.record(event, message=message_id, **facts)
            self._told.add(message_id)
            until = end_of(reply.message.metadata, self._questions.keep_until(message_id))
            self.delivery.send(message_id, reply, until)

        noted = kept.encode()
        with self._turns:
            if message_id in self._queued or not self._questions.take(message_id, noted):
                return
            self._queued.add(message_id)
        self._queue_turn(message_id, first)


def _is_final(error: Exception) -> bool:
    """Return whether trying again changes nothing: the holder or the SuperLink refuses."""
    return isinstance(error, BundleRefused) or (isinstance(error, SuperLinkError) and is_final(error))
