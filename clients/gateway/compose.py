"""The reply that leaves: composed from the question's own metadata and the node's sealed bytes, nothing of the SuperNode's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flwr.app import ConfigRecord, MetricRecord
from flwr.proto.error_pb2 import Error
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.message_pb2 import Metadata, ObjectTree
from flwr.proto.recorddict_pb2 import RecordDict

from clients.gateway.objects import chunk, encode_object, object_id, pieces_of, references, sealed_array
from clients.gateway.ports import Sealed
from fl_core.protocol import envelope

LEAST_TTL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply ready to be sent.

    Attributes:
        message: Its metadata, and its error if it is one.
        tree: The tree of its objects.
        small: All objects but the chunks, by name.
        sealed: The sealed bytes whose chunks belong to it; None when there are none.
        chunks: Names of the chunks in their order.
    """

    message: ProtoMessage
    tree: ObjectTree
    small: Mapping[str, bytes]
    sealed: Sealed | None = None
    chunks: tuple[str, ...] = ()

    def chunk_objects(self) -> Iterator[tuple[str, bytes]]:
        """Yield name and bytes of each chunk; one is in memory at a time."""
        if self.sealed is not None:
            for name, piece in zip(self.chunks, pieces_of(self.sealed.read()), strict=True):
                yield name, chunk(piece)


def error_reply(asked: Metadata, *, code: int, reason: str, now: float) -> Reply:
    """Return a reply that says that there is none, and why."""
    error = Error(code=code, reason=reason)
    return _finish(_metadata(asked, now), (), {}, ObjectTree(), error=error)


def sealed_reply(
    asked: Metadata,
    *,
    sealed: Sealed | None,
    chunks: tuple[str, ...],
    times: Mapping[str, int],
    status: bytes | None,
    now: float,
) -> Reply:
    """Return a reply that carries sealed bytes, times and the node's status, each if there is any.

    Args:
        asked: Metadata of the message that it answers.
        sealed: The sealed bytes.
        chunks: Names of their chunks.
        times: Coarse milliseconds by name.
        status: The node's status.
        now: Unix time in seconds.
    """
    small: dict[str, bytes] = {}
    trees: list[ObjectTree] = []
    records: dict[str, str] = {}

    def add(name: str, data: bytes, children: tuple[ObjectTree, ...] = ()) -> None:
        records[name] = object_id(data)
        small[records[name]] = data
        trees.append(ObjectTree(object_id=records[name], children=children))

    if sealed is not None:
        array = sealed_array(sealed.size, chunks)
        array_name = object_id(array)
        small[array_name] = array
        leaves = [ObjectTree(object_id=name) for name in dict.fromkeys(chunks)]
        tree = ObjectTree(object_id=array_name, children=leaves)
        add(envelope.SEALED, references("ArrayRecord", {sealed.name: array_name}), (tree,))
    if times:
        add(envelope.METRICS, MetricRecord(dict(times)).deflate())
    if status is not None:
        add(envelope.CONTROL, ConfigRecord({envelope.STATUS: status}).deflate())
    content = references("RecordDict", records)
    small[object_id(content)] = content
    root = ObjectTree(object_id=object_id(content), children=trees)
    reply = _finish(_metadata(asked, now), (root.object_id,), small, root)
    return Reply(message=reply.message, tree=reply.tree, small=reply.small, sealed=sealed, chunks=chunks)


def coarse(milliseconds: int) -> int:
    """Round a time to one significant digit: enough for a person, little for a code."""
    unit: int = 10 ** (len(str(max(0, milliseconds))) - 1)
    return round(max(0, milliseconds) / unit) * unit


def _finish(
    metadata: Metadata,
    children: tuple[str, ...],
    small: Mapping[str, bytes],
    content: ObjectTree,
    *,
    error: Error | None = None,
) -> Reply:
    body = ProtoMessage(metadata=metadata, error=error).SerializeToString(deterministic=True)
    data = encode_object("Message", children, body)
    name = object_id(data)
    named = Metadata()
    named.CopyFrom(metadata)
    named.message_id = name
    return Reply(
        message=ProtoMessage(metadata=named, error=error, content=None if error else RecordDict()),
        tree=ObjectTree(object_id=name, children=[content] if children else []),
        small={**small, name: data},
    )


def _metadata(asked: Metadata, now: float) -> Metadata:
    """Return a reply's metadata as Flower makes it, in whole seconds; it lives no longer than the message that it answers."""
    now = max(asked.created_at, math.floor(now))
    return Metadata(
        run_id=asked.run_id,
        src_node_id=asked.dst_node_id,
        dst_node_id=asked.src_node_id,
        reply_to_message_id=asked.message_id,
        group_id=asked.group_id,
        created_at=now,
        ttl=max(LEAST_TTL_S, asked.created_at + asked.ttl - now),
        message_type=asked.message_type,
        src_task_id=asked.dst_task_id if asked.HasField("dst_task_id") else None,
        dst_task_id=asked.src_task_id if asked.HasField("src_task_id") else None,
    )
