"""What the gateway sent and kept back, on disk before anything is sent: one JSON object a line, each bound into the node's logbook.

A line holds names, digests, sizes and reasons, never contents. What left (``reply``) and what was kept from leaving (``withheld``) gets an
entry in ``logbook.jsonl`` with the line's SHA-256, so that one chain holds everything that left the house, and a line cannot be
changed or removed unseen. The line is written first: after a crash in between there is a line without an entry, and nothing left.

Refused calls are cheap to make for whoever is behind the gateway. They have no entry, and only the first :data:`MAX_REFUSALS` of a run
of the process have a line.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from clients.errors import NodeStateError
from clients.node.gateway_lines import FILE
from ledger.logbook import Kind
from suture_fl.json_log import in_words

MAX_REFUSALS = 10_000
_REFUSAL = "call-refused"
_LEFT = frozenset({"reply-sent", "error-sent"})
log = logging.getLogger("suture.gateway")
SUPERLINK = "superlink"
"""The receiver, as the logbook names it."""


class Chain(Protocol):
    """Where lines are bound; :class:`clients.node.logbook.Logbook`."""

    def append(self, kind: Kind, data: bytes, *, to: str, digest: bytes | None = None) -> object:
        """Write an entry about ``data``."""
        ...


class OutgoingFile:
    """Appends to ``outgoing.jsonl`` in a node's folder.

    Args:
        folder: The folder; the file is made, readable by its owner only.
        chain: The node's logbook.
        clock: Unix time in seconds.
    """

    def __init__(self, folder: Path, chain: Chain, *, clock: Callable[[], float]) -> None:
        self._chain, self._clock = chain, clock
        self._lock = threading.Lock()
        self._left = MAX_REFUSALS
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(folder / FILE, flags, 0o600)

    def record(self, event: str, **facts: str | int) -> None:
        """Write one event.

        Raises:
            NodeStateError: The disk is full, or the logbook was altered; nothing may be sent.
        """
        with self._lock:
            if event == _REFUSAL:
                if self._left == 0:
                    return
                self._left -= 1
            line = json.dumps({"at": int(self._clock()), "event": event, **facts}, sort_keys=True).encode()
            self._write(line)
            if event != _REFUSAL:
                left = event in _LEFT
                # no size: what a reply carries was counted when it was sealed
                kind, to = (Kind.REPLY, SUPERLINK) if left else (Kind.WITHHELD, "")
                self._chain.append(kind, b"", to=to, digest=hashlib.sha256(line).digest())
        level = logging.INFO if event in _LEFT else logging.WARNING
        log.log(level, "%s", in_words(event, facts), extra={"event": event})

    def _write(self, line: bytes) -> None:
        size = os.fstat(self._file).st_size
        torn = size and os.pread(self._file, 1, size - 1) != b"\n"  # a crash cut the last line off
        whole = b"\n" * bool(torn) + line + b"\n"
        if os.write(self._file, whole) != len(whole):
            raise NodeStateError(f"{FILE} could not be written in full.", fix="Make room; nothing was sent.")
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            os.close(self._file)
            self._file = -1  # a check that goes on writes into no other file
