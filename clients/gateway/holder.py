"""The holder's side of the gateway: sealed bytes from the node's folder, everything else asked at the node's door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from clients.door import ACCEPTED, Method, SocketDoor
from clients.gateway.ports import Sealed
from clients.node.sealed import SealedFolder
from clients.node.times import decode_times

TIMEOUT_S = 120.0
"""Longest wait for the node; it may be encrypting an update."""


class NodeHolder:
    """A :class:`~clients.gateway.ports.Holder` beside a node.

    Args:
        folder: The node's folder.
        socket: The node's door.
    """

    def __init__(self, folder: Path, socket: Path) -> None:
        self._door = SocketDoor(socket, TIMEOUT_S)
        self._sealed = SealedFolder(folder)

    def accepts(self, bundle: bytes) -> bool:
        """Return whether the holder consents now to a run with this bundle.

        Raises:
            NodeError: The node does not answer, or cannot read its ledger.
        """
        return self._door.call(Method.BUNDLE, bundle) == ACCEPTED

    def sealed(self) -> Iterable[Sealed]:
        """Return what the node sealed and may still be sent."""
        return [
            Sealed(name=item.name, digest=item.digest, size=item.size, read=partial(self._sealed.read, item))
            for item in self._sealed.list()
        ]

    def times(self, frame: bytes) -> Mapping[str, int]:
        """Return what the node measured about the frame with this SHA-256.

        Raises:
            NodeError: The node does not answer.
            DecodeError: Its answer is none.
        """
        return decode_times(self._door.call(Method.TIMES, frame))

    def status(self) -> bytes:
        """Return the node's public status.

        Raises:
            NodeError: The node does not answer.
        """
        return self._door.call(Method.STATUS, b"")
