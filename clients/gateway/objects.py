r"""Flower's form of a message: objects named by their SHA-256, a message being a tree of them.

::

    Message -> RecordDict -> ArrayRecord -> Array -> ArrayChunk (up to 5 MiB each)
                          -> MetricRecord, ConfigRecord

An object is ``b"KIND CHILD,CHILD,... LENGTH" + b"\0" + body``. Read in flwr 1.41 (``supercore/inflatable/inflatable_object.py``,
``app/message/``); ``tests/unit/clients/gateway`` compares with Flower's own writer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flwr.proto.message_pb2 import ObjectTree

from fl_core.errors import DecodeError

CHUNK_BYTES = 5 * 1024 * 1024
"""Flower cuts the bytes of an array every 5 MiB (``flwr/common/constant.py``)."""

SEALED_DTYPE = "uint8"
SEALED_STYPE = "suture.sealed.v1"

MAX_SMALL_OBJECT = 1 << 16  # bytes; everything but chunks
MAX_CHUNKS = 1 << 12  # 20 GiB
MAX_SMALL_OBJECTS = 32
CHUNK_DEPTH = 4
"""Steps from the message to a chunk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """A parsed object; ``body`` is not interpreted."""

    kind: str
    children: tuple[str, ...]
    body: bytes


def encode_object(kind: str, children: Iterable[str], body: bytes) -> bytes:
    """Return an object's bytes."""
    return f"{kind} {','.join(children)} {len(body)}".encode() + b"\0" + body


def object_id(data: bytes) -> str:
    """Return the name of an object: its SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def decode_object(data: bytes) -> Object:
    """Read an object's bytes.

    Raises:
        DecodeError: They are not the canonical form of an object.
    """
    head, divider, body = data.partition(b"\0")
    try:
        kind, children, length = head.decode("ascii").split(" ")
        found = Object(kind=kind, children=tuple(children.split(",")) if children else (), body=body)
        if not divider or length != str(len(body)):
            raise ValueError("wrong length")
    except ValueError as error:
        raise DecodeError(f"not an object of Flower's ({type(error).__name__})") from error
    if not all(map(is_object_id, found.children)) or encode_object(kind, found.children, body) != data:
        raise DecodeError("not the canonical form of an object")
    return found


def is_object_id(text: str) -> bool:
    """Return whether ``text`` has the form of an object's name."""
    return len(text) == 64 and all(character in "0123456789abcdef" for character in text)


def pieces_of(data: Iterable[bytes], size: int = CHUNK_BYTES) -> Iterator[bytes]:
    """Cut a stream into pieces of ``size`` bytes, the last one shorter; one piece is in memory at a time."""
    held = bytearray()
    for part in data:
        held += part
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


def chunk(piece: bytes) -> bytes:
    """Return the object that holds a piece of an array."""
    return encode_object("ArrayChunk", (), piece)


def chunk_ids(data: Iterable[bytes]) -> tuple[str, ...]:
    """Return the names of the chunks of an array with these bytes, in order; repeated ones are repeated."""
    return tuple(object_id(chunk(piece)) for piece in pieces_of(data))


def sealed_array(size: int, chunks: Sequence[str]) -> bytes:
    """Return the ``Array`` object of sealed bytes that are cut into ``chunks``."""
    unique = list(dict.fromkeys(chunks))
    body = {
        "dtype": SEALED_DTYPE,
        "shape": [size],
        "stype": SEALED_STYPE,
        "arraychunk_ids": [unique.index(name) for name in chunks],
    }
    return encode_object("Array", unique, json.dumps(body).encode())


def references(kind: str, names: Mapping[str, str]) -> bytes:
    """Return an ``ArrayRecord`` or ``RecordDict``: names of its parts and what they refer to."""
    return encode_object(kind, dict.fromkeys(names.values()), json.dumps(dict(names)).encode())


def walk(tree: ObjectTree, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield every node of a tree with its depth.

    Raises:
        DecodeError: The tree is deeper than any message, larger than :data:`MAX_CHUNKS` allows, or a name has another form.
    """
    pending, seen = [(tree, depth)], 0
    while pending:
        node, depth = pending.pop()
        seen += 1
        if depth > CHUNK_DEPTH or seen > MAX_CHUNKS + MAX_SMALL_OBJECTS or not is_object_id(node.object_id):
            raise DecodeError("not the tree of a message")
        yield node.object_id, depth
        pending.extend((child, depth + 1) for child in node.children)
