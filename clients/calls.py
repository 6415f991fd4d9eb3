"""What crosses the door: the payload of each call and of its answer. Untrusted on both sides, so decoded strictly."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Self

from fl_core.codec import Reader, Writer, read_json
from fl_core.digests import DIGEST_SIZE
from fl_core.errors import DecodeError
from fl_core.protocol.header import MAX_COMMITTEE, MAX_COUNTERS, MAX_HEADER
from fl_core.protocol.messages import MAX_REQUEST
from fl_core.protocol.prekeys import MAX_PREKEY

MAX_MODEL = 1 << 32  # bytes; 1e9 float32 parameters
MAX_ORDER = 1 << 16  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginCall:
    """Asks the node whether to train: the round's header and the model file as received; decoded, a view of the payload."""

    header: bytes
    model: bytes | memoryview

    def encode(self) -> bytes:
        """Return the payload."""
        w = Writer()
        w.opaque(self.header, MAX_HEADER)
        w.opaque(self.model, MAX_MODEL - 1)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_HEADER + MAX_MODEL + 8, what="begin call")
        header, model = r.opaque(MAX_HEADER), r.opaque_view(MAX_MODEL)
        r.end()
        return cls(header=header, model=model)

    def __repr__(self) -> str:
        return f"BeginCall(header=<{len(self.header)} bytes>, model=<{len(self.model)} bytes>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the glue may do for one round: which task on which data, with which settings.

    Attributes:
        header: Digest of the accepted header, hexadecimal; empty in a run without protection.
        round: Round number; 0 in a run without protection, where the message says it.
        task: Name of the training task.
        settings: The task's settings, from the terms; empty in a run without protection.
        data: Path of the data set on this machine.
        holder: Name of the holder in the run; decides the order of its batches.
    """

    header: str
    round: int
    task: str
    settings: dict[str, float | int | str]
    data: str
    holder: str

    def __post_init__(self) -> None:
        texts = (self.header, self.task, self.data, self.holder)
        if type(self.round) is not int or any(type(text) is not str for text in texts):
            raise ValueError("an order is made of strings and a round number")
        if not 0 <= self.round < 1 << 32 or len(self.header) not in (0, 2 * DIGEST_SIZE):
            raise ValueError("an order's header is a digest or empty, its round lies in [0, 2^32)")
        bytes.fromhex(self.header)
        values = self.settings.values() if type(self.settings) is dict else (None,)
        if any(type(value) not in (str, int, float) for value in values):
            raise ValueError("a task's settings are numbers and strings by name")

    def encode(self) -> bytes:
        """Return the order as JSON."""
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read an order; raises :class:`~fl_core.errors.DecodeError`."""
        values = read_json(data, limit=MAX_ORDER, what="order")
        try:
            if not isinstance(values, dict):
                raise TypeError("an order is an object")
            order = cls(**values)
            canonical = order.encode()
        except (ValueError, TypeError) as error:
            raise DecodeError(f"order: not a valid document ({type(error).__name__})") from error
        if canonical != data:
            raise DecodeError("order: the document is not in its canonical form")
        return order


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectCall:
    """Hands a trained update to the node.

    Attributes:
        header: Digest of the header that the order was for.
        update: Trained minus received model, little-endian float32 values; decoded, a view of the payload, which is large.
        examples: Number of examples trained on.
        counters: Values of the header's counters.
        prekeys: The committee's signed prekeys, in seat order.
    """

    header: bytes
    update: bytes | memoryview
    examples: int
    counters: tuple[int, ...]
    prekeys: tuple[bytes, ...]

    def encode(self) -> bytes:
        """Return the payload."""
        w = Writer()
        w.fixed(self.header, DIGEST_SIZE)
        w.uint(self.examples, 8)
        w.count(len(self.counters), MAX_COUNTERS)
        for value in self.counters:
            w.uint(value, 8)
        w.count(len(self.prekeys), MAX_COMMITTEE)
        for prekey in self.prekeys:
            w.opaque(prekey, MAX_PREKEY)
        w.opaque(self.update, MAX_MODEL - 1)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload; raises :class:`~fl_core.errors.DecodeError`."""
        limit = MAX_MODEL + MAX_COMMITTEE * (MAX_PREKEY + 4) + 1024
        r = Reader(data, limit=limit, what="protect call")
        header, examples = r.fixed(DIGEST_SIZE), r.uint(8)
        counters = tuple(r.uint(8) for _ in range(r.count(MAX_COUNTERS)))
        prekeys = tuple(r.opaque(MAX_PREKEY) for _ in range(r.count(MAX_COMMITTEE)))
        update = r.opaque_view(MAX_MODEL)
        r.end()
        if len(update) % 4:
            raise DecodeError("protect call: an update is made of four-byte numbers")
        return cls(header=header, update=update, examples=examples, counters=counters, prekeys=prekeys)

    def __repr__(self) -> str:
        return f"ProtectCall(header={self.header.hex()}, update=<{len(self.update)} bytes>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionCall:
    """Passes a question of the coordinator to the node: the share check's or the reveal's."""

    request: bytes

    def encode(self) -> bytes:
        """Return the payload."""
        return self.request

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload; raises :class:`~fl_core.errors.DecodeError`."""
        if len(data) > MAX_REQUEST:
            raise DecodeError(f"question: at most {MAX_REQUEST} bytes are accepted, {len(data)} came")
        return cls(request=data)
