"""A folder in which members on one machine leave their newest checkpoints for each other, one file a member.

It stands where a service between machines stands otherwise: whoever reads it believes nothing before it is verified.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ledger.checkpoints import CHECKPOINT_SIZE, MAX_CHECKPOINTS, SignedCheckpoint
from ledger.files import read_plain

_NAME_DIGITS = 40
"""Hexadecimal digits of an account."""
_Stamp = tuple[int, int]


class FolderBoard:
    """A :class:`ledger.checkpoints.CheckpointBoard` in a folder.

    Args:
        folder: The folder; made when the first checkpoint is published.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, tuple[_Stamp, bytes]] = {}

    def publish(self, checkpoint: bytes) -> None:
        """Leave a checkpoint under its member's account.

        A checkpoint that a power failure takes away is published again, so nothing waits for the disk here.

        Raises:
            DecodeError: It is none.
            OSError: The folder cannot be written.
        """
        name = SignedCheckpoint.decode(checkpoint).member.hex()
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(checkpoint)
                os.fchmod(file.fileno(), 0o644)
            Path(temporary).replace(self._folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def checkpoints(self) -> Sequence[bytes]:
        """Return what lies in the folder, by account; files that cannot be checkpoints are left out."""
        found: dict[str, tuple[_Stamp, bytes]] = {}
        for name, stamp in self._entries():
            known = self._read.get(name)
            if known is not None and known[0] == stamp:
                found[name] = known
                continue
            with suppress(OSError):  # replaced or removed meanwhile, or no plain file
                found[name] = stamp, read_plain(self._folder / name, CHECKPOINT_SIZE)
        self._read = found
        return [data for _, (_, data) in sorted(found.items())]

    def _entries(self) -> list[tuple[str, _Stamp]]:
        entries: list[tuple[str, _Stamp]] = []
        with suppress(FileNotFoundError), os.scandir(self._folder) as listing:
            for entry in listing:
                if len(entry.name) == _NAME_DIGITS and len(entries) < MAX_CHECKPOINTS:
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        entries.append((entry.name, (status.st_ino, status.st_mtime_ns)))
        return entries
