"""What can go wrong on the way to a node and back, as values that a test or a demonstration injects.

The local grid asks a :class:`Faults` twice per message: before the ClientApp sees it, and after the ClientApp has
answered. "After" matters to a protocol with once-only steps: the node did its part, and nobody learns of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from flwr.app import Message


@dataclass(frozen=True, slots=True)
class Drop:
    """The message (or the reply) is lost; the sender hears nothing."""


@dataclass(frozen=True, slots=True)
class Delay:
    """The node is busy for ``seconds`` first; infinity is a hang that wedges the node for good."""

    seconds: float

    def __post_init__(self) -> None:
        if math.isnan(self.seconds) or self.seconds < 0:
            raise ValueError(f"a delay is not negative; got {self.seconds}")


@dataclass(frozen=True, slots=True)
class Raise:
    """The ClientApp raises ``error``."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Die:
    """The node is gone from now on: it is no longer listed, and whatever it owed is never sent."""


Fault = Drop | Delay | Raise | Die


class Faults(Protocol):
    """Decides what goes wrong. Called from the nodes' threads, one call at a time per node.

    ``node`` is the position of the node in the list of node configs, from 0.
    """

    def before(self, node: int, message: Message) -> Fault | None:
        """Return what happens to ``message`` before the ClientApp of ``node`` gets it."""
        ...

    def after(self, node: int, reply: Message) -> Fault | None:
        """Return what happens to the ``reply`` of ``node`` before it is sent."""
        ...


class NoFaults:
    """Nothing goes wrong."""

    def before(self, node: int, message: Message) -> Fault | None:
        """Return nothing."""
        return None

    def after(self, node: int, reply: Message) -> Fault | None:
        """Return nothing."""
        return None
