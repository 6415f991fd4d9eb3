"""What only the glue and its node say to each other in the CKKS mode; the coordinator's steps are in ``fl_core.secagg.ckks``.

The glue passes sealed boxes, signed uploads and encrypted sums through; it never sees a key. It does get each round's model,
since it trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from clients.calls import MAX_MODEL, MAX_ORDER
from fl_core.codec import Reader, Writer
from fl_core.errors import DecodeError
from fl_core.secagg.ckks.messages import MAX_COUNTERS
from fl_core.secagg.ckks.steps import PLACE_SIZE, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class CkksOrder:
    """The node's answer: the order, and the model to train from."""

    order: bytes
    model: bytes

    def encode(self) -> bytes:
        """Return the payload."""
        w = Writer()
        w.opaque(self.order, MAX_ORDER)
        w.opaque(self.model, MAX_MODEL - 1)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_ORDER + MAX_MODEL + 8, what="CKKS order")
        order, model = r.opaque(MAX_ORDER), r.opaque(MAX_MODEL)
        r.end()
        return cls(order=order, model=model)

    def __repr__(self) -> str:
        return f"CkksOrder(model=<{len(self.model)} bytes>)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CkksProtectCall:
    """Hands a trained update to the node.

    Attributes:
        place: The round.
        update: Trained minus received model, little-endian float32 values; decoded, a view of the payload, which is large.
        examples: Number of examples trained on.
        counters: Values of the terms' counters.
    """

    place: Place
    update: bytes | memoryview
    examples: int
    counters: tuple[int, ...]

    def encode(self) -> bytes:
        """Return the payload."""
        w = Writer()
        w.fixed(self.place.encode(), PLACE_SIZE)
        w.uint(self.examples, 8)
        w.count(len(self.counters), MAX_COUNTERS)
        for value in self.counters:
            w.uint(value, 8)
        w.opaque(self.update, MAX_MODEL - 1)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_MODEL + 1024, what="CKKS protect call")
        place, examples = Place.decode(r.fixed(PLACE_SIZE)), r.uint(8)
        counters = tuple(r.uint(8) for _ in range(r.count(MAX_COUNTERS)))
        update = r.opaque_view(MAX_MODEL)
        r.end()
        if len(update) % 4:
            raise DecodeError("CKKS protect call: an update is made of four-byte numbers")
        return cls(place=place, update=update, examples=examples, counters=counters)

    def __repr__(self) -> str:
        return f"CkksProtectCall(round={self.place.round}, update=<{len(self.update)} bytes>)"
