"""Frames that no round knows: a node was killed after a frame was on the disk and before the register had noted it."""

from __future__ import annotations

import time
from collections.abc import Container

from ledger.archive import Archive

SETTLED_S = 600.0
"""A frame that is this old, in seconds, has been noted or never will be: the two are milliseconds apart."""


def drop_unnoted(frames: Archive, noted: Container[str]) -> None:
    """Delete the frames whose names, SHA-256 in hexadecimal digits, are not ``noted``. They were never sent."""
    for path in frames.root.glob("??/*"):
        if path.name not in noted and time.time() - path.stat().st_mtime > SETTLED_S:
            path.unlink(missing_ok=True)
