"""The prekeys of this node: made, kept while their epoch lasts, and erased.

One file for each private seed, ``prekeys/00000012.seed``, readable by its owner only. A new epoch begins when the node has
accepted a round with the newest prekey; the older ones are erased when a round with a newer one is accepted, or a day after
the newest was made. Erasing overwrites the file, waits for the disk and then deletes it; what a file system with snapshots
or a flash disk keeps of overwritten blocks is beyond this program (``docs/explanation/threat-model.md``).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

from clients.errors import NodeStateError, PolicyRefusal
from fl_core.protocol.setup import transport_key_digest
from fl_core.randomness import SEED_SIZE, RandomSource
from fl_core.secagg.boxes import TransportPrivateKey
from fl_core.secret import Secret
from ledger.files import write_atomically

KEEP_S = 86_400
"""Seconds after which a prekey that is not the newest is erased whatever happens."""

_PRIVATE = 0o600
_FILE = re.compile(r"([0-9]{8})\.seed")


class Prekeys:
    """One node's prekeys.

    Args:
        folder: Where the seeds are.
        random: Fresh randomness.
        clock: Unix time in seconds.
    """

    def __init__(self, folder: Path, *, random: RandomSource, clock: Callable[[], int]) -> None:
        self._folder = folder
        self._random = random
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: dict[int, TransportPrivateKey] = {}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def newest(self) -> tuple[int, TransportPrivateKey]:
        """Return number and key pair of the newest epoch; the first is made when there is none.

        Raises:
            NodeStateError: A seed is damaged.
        """
        with self._lock:
            self._sweep()
            epochs = self._epochs()
            return self._open(epochs[-1]) if epochs else self._make(1)

    def renew(self) -> None:
        """Make the next prekey although the newest was not used: what was signed about it, was signed by a replaced key."""
        with self._lock:
            epochs = self._epochs()
            self._make(epochs[-1] + 1 if epochs else 1)

    def named(self, digest: bytes) -> tuple[int, TransportPrivateKey]:
        """Return the prekey that a seat names by its digest.

        Raises:
            PolicyRefusal: This node has none such, or has erased it.
            NodeStateError: A seed is damaged.
        """
        with self._lock:
            self._sweep()
            for epoch in reversed(self._epochs()):
                found = self._open(epoch)
                if transport_key_digest(found[1].public) == digest:
                    return found
        raise PolicyRefusal("this node has no such prekey, or has erased it: its epoch is over")

    def sweep(self) -> None:
        """Erase what a newer prekey replaced more than :data:`KEEP_S` ago. Who serves the node calls it now and then."""
        with self._lock:
            self._sweep()

    def begin(self, epoch: int) -> None:
        """Begin a round with the prekey of ``epoch``: erase all older ones, and make the next when this is the newest."""
        with self._lock:
            for older in self._epochs():
                if older < epoch:
                    self._erase(older)
            if self._epochs()[-1] == epoch:
                self._make(epoch + 1)

    def _epochs(self) -> list[int]:
        matches = (_FILE.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(match.group(1)) for match in matches if match)

    def _path(self, epoch: int) -> Path:
        return self._folder / f"{epoch:08d}.seed"

    def _make(self, epoch: int) -> tuple[int, TransportPrivateKey]:
        path = self._path(epoch)
        write_atomically(path, self._random.secret(SEED_SIZE).reveal(), _PRIVATE)
        os.utime(path, (self._clock(), self._clock()))  # when it was made, by the clock that the sweep asks
        return self._open(epoch)

    def _open(self, epoch: int) -> tuple[int, TransportPrivateKey]:
        if epoch not in self._opened:
            seed = self._path(epoch).read_bytes()
            if len(seed) != SEED_SIZE:
                raise NodeStateError(
                    f"{self._path(epoch)} is damaged.", fix="Delete it; the node makes a new prekey."
                )
            self._opened[epoch] = TransportPrivateKey.from_seed(Secret(seed))
        return epoch, self._opened[epoch]

    def _sweep(self) -> None:
        """Erase what a newer prekey replaced long ago."""
        epochs = self._epochs()
        if len(epochs) > 1 and self._clock() - self._path(epochs[-1]).stat().st_mtime > KEEP_S:
            for epoch in epochs[:-1]:
                self._erase(epoch)

    def _erase(self, epoch: int) -> None:
        self._opened.pop(epoch, None)
        path = self._path(epoch)
        with path.open("r+b") as file:
            file.write(bytes(SEED_SIZE))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()

    def __repr__(self) -> str:
        return "Prekeys(<redacted>)"
