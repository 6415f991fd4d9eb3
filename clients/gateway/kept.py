"""A reply that is leaving, as it lies on disk until the SuperLink has all of it: what is needed to send the same bytes again.

The chunks are not in it. They are cut anew from the sealed bytes in the node's folder, which are named here by their digest.

::

    version, event of its line, facts of its line (JSON), SuperLink, bundle or nothing, message, tree,
    digest of the sealed bytes or nothing, objects but the chunks

Message and tree are the protobuf bytes that are sent. Objects are named by their SHA-256, so that one that was altered fits no tree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.message_pb2 import Metadata, ObjectTree
from google.protobuf.message import DecodeError as ProtoError

from clients.gateway.compose import Reply
from clients.gateway.objects import CHUNK_DEPTH, MAX_SMALL_OBJECTS, object_id, walk
from clients.gateway.ports import Sealed
from fl_core.codec import Reader, Writer, read_json
from fl_core.errors import DecodeError

VERSION = 2
MAX_PART = 1 << 22  # bytes; the tree of thousands of chunks
MAX_KEPT = 1 << 24  # bytes
_MAX_EVENT, _MAX_FACTS, _MAX_ADDRESS, _DIGEST = 32, 1 << 16, 1 << 12, 32
_EVENTS = frozenset({"reply-sent", "error-sent", "reply-withheld"})
_RESERVED = frozenset({"at", "event", "message", "again"})
"""Names in a line that are no facts of the reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept of a reply.

    Attributes:
        event: What its line in the log is called.
        facts: What the line says of it.
        superlink: Address of the SuperLink whose message it answers.
        bundle: SHA-256 of the app whose message it answers; empty where no consent is needed, for an error.
        message: The message, as it is sent.
        tree: The tree of its objects, as it is sent.
        sealed: SHA-256 of the sealed bytes whose chunks belong to it; empty when there are none.
        objects: All objects but the chunks, in the order in which they are sent, the message's own last.
    """

    event: str
    facts: Mapping[str, str | int]
    superlink: str
    bundle: bytes
    message: bytes
    tree: bytes
    sealed: bytes
    objects: tuple[bytes, ...]

    @classmethod
    def of(
        cls, reply: Reply, event: str, facts: Mapping[str, str | int], *, superlink: str, bundle: bytes
    ) -> Kept:
        """Return what is kept of a reply whose line is ``event`` with ``facts``."""
        return cls(
            event=event,
            facts=dict(facts),
            superlink=superlink,
            bundle=bundle,
            message=reply.message.SerializeToString(deterministic=True),
            tree=reply.tree.SerializeToString(deterministic=True),
            sealed=b"" if reply.sealed is None else reply.sealed.digest,
            objects=tuple(reply.small.values()),
        )

    def reply(self, sealed: Sealed | None, chunks: tuple[str, ...]) -> Reply:
        """Return the reply.

        Args:
            sealed: The sealed bytes that it names, None when it names none.
            chunks: Names of their chunks.

        Raises:
            DecodeError: The reply has other chunks.
        """
        tree = ObjectTree.FromString(self.tree)
        if {name for name, depth in walk(tree) if depth == CHUNK_DEPTH} != set(chunks):
            raise DecodeError("kept reply: its chunks are not those of its sealed bytes")
        small = {object_id(data): data for data in self.objects}
        message = ProtoMessage.FromString(self.message)
        return Reply(message=message, tree=tree, small=small, sealed=sealed, chunks=chunks)

    def metadata(self) -> Metadata:
        """Return the message's metadata."""
        found: Metadata = ProtoMessage.FromString(self.message).metadata
        return found

    def encode(self) -> bytes:
        """Return the bytes that lie on disk."""
        w = Writer()
        w.uint(VERSION, 1)
        w.text(self.event, _MAX_EVENT)
        w.opaque(json.dumps(dict(self.facts), sort_keys=True).encode(), _MAX_FACTS)
        w.text(self.superlink, _MAX_ADDRESS)
        w.opaque(self.bundle, _DIGEST)
        w.opaque(self.message, MAX_PART)
        w.opaque(self.tree, MAX_PART)
        w.opaque(self.sealed, _DIGEST)
        w.count(len(self.objects), MAX_SMALL_OBJECTS)
        for data in self.objects:
            w.opaque(data, MAX_PART)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Kept:
        """Read such bytes.

        Raises:
            DecodeError: They are none, or their parts do not belong together.
        """
        r = Reader(data, limit=MAX_KEPT, what="kept reply")
        if (version := r.uint(1)) != VERSION:
            raise DecodeError(f"kept reply: version {VERSION} is read here, not {version}")
        event, facts = r.text(_MAX_EVENT), _facts(r.opaque(_MAX_FACTS))
        superlink, bundle = r.text(_MAX_ADDRESS), r.opaque(_DIGEST)
        message, tree, sealed = r.opaque(MAX_PART), r.opaque(MAX_PART), r.opaque(_DIGEST)
        objects = tuple(r.opaque(MAX_PART) for _ in range(r.count(MAX_SMALL_OBJECTS)))
        r.end()
        kept = cls(
            event=event, facts=facts, superlink=superlink, bundle=bundle,
            message=message, tree=tree, sealed=sealed, objects=objects,
        )  # fmt: skip
        digests = {len(bundle), len(sealed)}
        if event not in _EVENTS or not digests <= {0, _DIGEST} or kept.encode() != data:
            raise DecodeError("kept reply: not its canonical form")
        _check_parts(kept)
        return kept


def _facts(data: bytes) -> dict[str, str | int]:
    found = read_json(data, limit=_MAX_FACTS, what="facts of a kept reply", containers=1)
    if not isinstance(found, dict) or not _RESERVED.isdisjoint(found):
        raise DecodeError("kept reply: its facts are none of a line")
    if not all(type(value) in (str, int) for value in found.values()):
        raise DecodeError("kept reply: a fact is a text or an integer")
    return found


def _check_parts(kept: Kept) -> None:
    """The message, its tree and the objects are one reply's, in the one form in which it is sent."""
    try:
        message, tree = ProtoMessage.FromString(kept.message), ObjectTree.FromString(kept.tree)
    except ProtoError as error:
        raise DecodeError("kept reply: not messages of Flower's") from error
    for found, data in ((message, kept.message), (tree, kept.tree)):
        if found.SerializeToString(deterministic=True) != data:
            raise DecodeError("kept reply: not the form in which it is sent")
    names = tuple(map(object_id, kept.objects))
    small = {name for name, depth in walk(tree) if depth < CHUNK_DEPTH}
    if set(names) != small or len(names) != len(small) or names[-1] != tree.object_id:
        raise DecodeError("kept reply: its objects are not those of its tree")
    if message.metadata.message_id != tree.object_id or not message.metadata.reply_to_message_id:
        raise DecodeError("kept reply: its message is not the root of its tree")
