"""What this node sealed and may still be sent, read from its folder by another process of the same user.

Frames and answers are on disk before the glue gets them (:mod:`clients.node.register`), so whoever reads the folder knows them first.
Rounds that are over are left out.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from clients.errors import NodeStateError
from fl_core.protocol import envelope
from fl_core.protocol.phases import MemberStep
from ledger.archive import Archive

_FRAMES = "SELECT frame, sent FROM contributions JOIN headers ON contributions.header = digest WHERE over=0"
_ANSWERS = "SELECT question, answer FROM answers JOIN headers ON answers.header = digest WHERE over=0"
_WEIGHTS = (
    "SELECT opening FROM weights JOIN headers ON weights.header = digest WHERE about IS NOT NULL AND over=0"
)
"""Only weights that the node decided to open; one that it keeps is nothing that may be sent."""
_BUSY_S = 10.0
_NAMES = {
    MemberStep.CHECK.value: envelope.CHECK,
    MemberStep.REVEAL.value: envelope.REVEAL,
    MemberStep.BLAME.value: envelope.BLAME,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBytes:
    """One sealed frame, or one signed answer.

    Attributes:
        name: As :mod:`fl_core.protocol.envelope` calls it: a frame, or what answers which question.
        digest: SHA-256 of the bytes.
        size: Their number.
        answer: The bytes of an answer; None for a frame, which is read from the folder.
    """

    name: str
    digest: bytes
    size: int
    answer: bytes | None


class SealedFolder:
    """The sealed bytes in a node's folder.

    Args:
        folder: The node's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._register = folder / "register.sqlite"
        self._frames = Archive(folder / "frames")

    def list(self) -> tuple[SealedBytes, ...]:
        """Return what may be sent now; nothing when the node was never served.

        Raises:
            NodeStateError: The register is damaged, or cannot be read now.
        """
        if not self._register.exists():
            return ()
        try:
            with closing(
                sqlite3.connect(f"{self._register.resolve().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)
            ) as db:
                frames = db.execute(_FRAMES).fetchall()
                answers = [(_NAMES[name], answer) for name, answer in db.execute(_ANSWERS)]
                answers += [(envelope.WEIGHT, opening) for (opening,) in db.execute(_WEIGHTS)]
        except sqlite3.DatabaseError as error:
            if str(error).startswith("no such table"):  # made a moment ago
                return ()
            raise NodeStateError(f"{self._register} cannot be read ({error}).") from error
        found = [
            SealedBytes(name=envelope.FRAME, digest=bytes(d), size=int(n), answer=None) for d, n in frames
        ]
        for name, answer in answers:
            data = bytes(answer)
            digest = hashlib.sha256(data).digest()
            found.append(SealedBytes(name=name, digest=digest, size=len(data), answer=data))
        return tuple(item for item in found if item.answer is not None or item.digest in self._frames)

    def read(self, item: SealedBytes) -> Iterator[bytes]:
        """Read sealed bytes piece by piece.

        Raises:
            ArchiveError: The frame is gone, for its round ended meanwhile, or is damaged.
        """
        if item.answer is not None:
            return iter((item.answer,))
        return self._frames.get_stream(item.digest, item.size)
