"""The steps that the coordinator asks of a node in the CKKS mode: one byte that says which, and its payload.

The same bytes go through Flower, the glue and the node's door. What only glue and node say to each other is in
``clients.ckks_calls``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Self

from fl_core.codec import Reader, Writer
from fl_core.digests import DIGEST_SIZE
from fl_core.errors import DecodeError
from fl_core.secagg.ckks.agreement import MAX_PACKAGE, MAX_PLAN

MAX_FIRST_MODEL = 1 << 32  # bytes
PLACE_SIZE = 2 * DIGEST_SIZE + 4


class CkksStep(Enum):
    """The steps of a run in the CKKS mode, as a node sees them."""

    DEAL = 1
    TAKE = 2
    BEGIN = 3
    PROTECT = 4
    OPEN = 5
    HAND_OVER = 6


def encode_step(step: CkksStep, payload: bytes) -> bytes:
    """Return the payload of the door's method."""
    return bytes([step.value]) + payload


def decode_step(data: bytes) -> tuple[CkksStep, bytes]:
    """Read the payload of the door's method.

    Raises:
        DecodeError: There is no such step.
    """
    try:
        return CkksStep(data[0]), data[1:]
    except (IndexError, ValueError):
        raise DecodeError("the node knows no such step of the CKKS mode") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeCall:
    """Hands the dealer's package to a node, with the plan that it is for."""

    plan: bytes
    package: bytes

    def encode(self) -> bytes:
        """Return the payload."""
        w = Writer()
        w.opaque(self.plan, MAX_PLAN)
        w.opaque(self.package, MAX_PACKAGE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=MAX_PLAN + MAX_PACKAGE + 8, what="CKKS take call")
        plan, package = r.opaque(MAX_PLAN), r.opaque(MAX_PACKAGE)
        r.end()
        return cls(plan=plan, package=package)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A round of a run and the model that it trains from.

    Attributes:
        run: The run.
        round: Round number, from 1.
        parent: SHA-256 of the model.
    """

    run: bytes
    round: int
    parent: bytes

    def encode(self) -> bytes:
        """Return the wire form."""
        w = Writer()
        w.fixed(self.run, DIGEST_SIZE)
        w.uint(self.round, 4)
        w.fixed(self.parent, DIGEST_SIZE)
        return w.bytes()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the wire form; raises :class:`~fl_core.errors.DecodeError`."""
        r = Reader(data, limit=PLACE_SIZE, what="CKKS place")
        run, number, parent = r.fixed(DIGEST_SIZE), r.uint(4), r.fixed(DIGEST_SIZE)
        r.end()
        return cls(run=run, round=number, parent=parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class CkksBeginCall:
    """Asks the node whether to train: the place, and the run's first model, or nothing when the node has made its own."""

    place: Place
    model: bytes

    def encode(self) -> bytes:
        """Return the payload."""
        return self.place.encode() + self.model

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the payload; raises :class:`~fl_core.errors.DecodeError`."""
        if len(data) > PLACE_SIZE + MAX_FIRST_MODEL:
            raise DecodeError(f"CKKS begin call: at most {MAX_FIRST_MODEL} bytes of model are accepted")
        return cls(place=Place.decode(data[:PLACE_SIZE]), model=data[PLACE_SIZE:])

    def __repr__(self) -> str:
        return f"CkksBeginCall(round={self.place.round}, model=<{len(self.model)} bytes>)"
