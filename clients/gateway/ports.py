"""What the gateway needs from others: the holder's decisions and sealed bytes, the SuperLink, the log of what left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from google.protobuf.message import Message as Proto

from clients.errors import NodeError

Answered = TypeVar("Answered", bound=Proto)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """Bytes that the node sealed or signed for the coordinator.

    Attributes:
        name: What they are: ``"frame"``, ``"check"``, ``"reveal"``, ``"blame"``, ``"weight"`` or ``"ckks"``.
        digest: Their SHA-256.
        size: Their length in bytes.
        read: Reads them piece by piece, from the start, each time it is called.
    """

    name: str
    digest: bytes
    size: int
    read: Callable[[], Iterator[bytes]]


class Holder(Protocol):
    """The trusted side, as the gateway sees it."""

    def accepts(self, bundle: bytes) -> bool:
        """Return whether the holder consents now, on the ledger, to a run whose terms name the bundle with this SHA-256."""
        ...

    def sealed(self) -> Iterable[Sealed]:
        """Return what the node sealed and may still be sent."""
        ...

    def times(self, frame: bytes) -> Mapping[str, int]:
        """Return what the node measured about the frame with this SHA-256: milliseconds by name; nothing if it measured none."""
        ...

    def status(self) -> bytes:
        """Return the node's public status, which answers an enrolment."""
        ...


class SuperLink(Protocol):
    """The far side of the fleet protocol."""

    @property
    def address(self) -> str:
        """Where it is: a URL without a trailing slash."""
        ...

    @property
    def public_key(self) -> bytes:
        """The public key under which the SuperLink knows this node, as Flower writes it."""
        ...

    def call(self, name: str, request: Proto, kind: type[Answered], limit: int) -> Answered:
        """Make one call.

        Args:
            name: Last part of the path, for instance ``"pull-messages"``.
            request: What to send.
            kind: Type of the answer.
            limit: Longest accepted answer, in bytes.

        Raises:
            SuperLinkError: There is no answer, it is too long, malformed or an error.
        """
        ...


class SuperLinkError(NodeError):
    """The SuperLink refused a call or cannot be reached.

    Attributes:
        status: HTTP status; 503 when there was no answer.
        code: Flower's number of the error; 0 when there is none.
    """

    def __init__(self, message: str, *, status: int, code: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class OutgoingLog(Protocol):
    """Where it is written down what left the house, and what was kept from leaving."""

    def record(self, event: str, **facts: str | int) -> None:
        """Write one event to disk before returning. Facts are names, digests, sizes and reasons, never contents."""
        ...
