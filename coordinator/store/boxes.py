"""Sealed shares of a round in progress, on disk instead of in memory: every client sends one for every seat.

64 clients with 64 seats are 120 MB. Nothing here needs to survive a crash, for the round does not either; the folder is
emptied when a round begins and removed when it is over. The boxes are public to whoever carries them: sealed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from fl_core.codec import Reader, Writer
from fl_core.protocol.header import MAX_COMMITTEE
from fl_core.protocol.messages import MAX_BOX

_LIMIT = MAX_COMMITTEE * (MAX_BOX + 4) + 4


class BoxFolder:
    """A :class:`fl_core.protocol.coordinator.BoxSpool` of one file for each client.

    Args:
        folder: Emptied first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.clear()
        folder.mkdir(mode=0o700, parents=True)

    def put(self, client: bytes, boxes: tuple[bytes, ...]) -> None:
        """Keep a client's boxes, in seat order."""
        w = Writer()
        w.count(len(boxes), MAX_COMMITTEE)
        for box in boxes:
            w.opaque(box, MAX_BOX)
        (self._folder / client.hex()).write_bytes(w.bytes())

    def get(self, client: bytes, position: int) -> bytes:
        """Return the box for the seat at ``position``, from 0."""
        r = Reader((self._folder / client.hex()).read_bytes(), limit=_LIMIT, what="boxes")
        boxes = [r.opaque(MAX_BOX) for _ in range(r.count(MAX_COMMITTEE))]
        return boxes[position]

    def clear(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
