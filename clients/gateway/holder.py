"""The holder's side of the gateway, read from the node's folder, its ledger and its door."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from clients.door import Method, SocketDoor
from clients.gateway.ports import Sealed
from clients.node.house import accepted_terms
from clients.node.sealed import SealedFolder
from ledger.errors import ForkDetected
from ledger.reader import Cursor, LedgerReader

STATUS_TIMEOUT_S = 20.0


class NodeFolderHolder:
    """A :class:`~clients.gateway.ports.Holder` over a node's folder.

    A bundle is accepted while the folder holds terms that name it and the ledger records the holder's consent to these terms for
    some run. Withdrawing the consent shuts the bundle out from the next message on.

    Args:
        folder: The node's folder.
        account: The holder's account.
        reader: Reads the ledger.
        socket: The node's door; answers for the status.
    """

    def __init__(self, folder: Path, account: bytes, reader: LedgerReader, socket: Path) -> None:
        self._folder = folder
        self._account = account
        self._reader = reader
        self._door = SocketDoor(socket, STATUS_TIMEOUT_S)
        self._sealed = SealedFolder(folder)
        self._lock = threading.Lock()
        self._cursor: Cursor | None = None
        self._runs: set[bytes] = set()

    def accepts(self, bundle: bytes) -> bool:
        """Return whether the holder consents now to a run with this bundle.

        Raises:
            NodeStateError: A terms document in the folder is damaged.
        """
        named = {d for d, terms in accepted_terms(self._folder).items() if terms.bundle == bundle.hex()}
        if not named:
            return False
        with self._lock:
            self._follow()
            return any(self._reader.consent(run, self._account) in named for run in self._runs)

    def sealed(self) -> Iterable[Sealed]:
        """Return what the node sealed and may still be sent."""
        return [
            Sealed(name=item.name, digest=item.digest, size=item.size, read=partial(self._sealed.read, item))
            for item in self._sealed.list()
        ]

    def status(self) -> bytes:
        """Return the node's public status.

        Raises:
            DoorError: The node does not answer.
        """
        return self._door.call(Method.STATUS, b"")

    def _follow(self) -> None:
        """Learn of the runs that the holder ever consented to; from the start when the chain was reorganised."""
        try:
            events, self._cursor = self._reader.follow("Consent", self._cursor)
        except ForkDetected:
            self._runs.clear()
            events, self._cursor = self._reader.follow("Consent", None)
        self._runs.update(
            bytes(event.values["run"]) for event in events if event.values["holder"] == self._account
        )
