"""Whether a node's logbook is whole, and whether register and gateway's lines bear it out: for all who look at a folder.

Whatever is wrong with one of them, the others are looked at: the lines before an altered one, and those before a line that a
crash cut off, are compared with register and gateway's lines all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clients.node.gateway_lines import altered
from clients.node.logbook import read_logbook
from clients.node.register_view import contradictions, read_register
from fl_core.errors import SutureError
from ledger.logbook import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at a node's folder found.

    Attributes:
        entries: Entries of the logbook, up to the first altered line.
        head: Head of them; empty for none.
        torn: How many bytes follow the last whole line, as a crash leaves them.
        errors: What is wrong with a file in itself.
        rolled_back: What the register does not bear out.
        gateway: Which of the gateway's lines were altered or removed.
    """

    entries: tuple[Entry, ...]
    head: bytes
    torn: int
    errors: tuple[SutureError, ...]
    rolled_back: tuple[str, ...]
    gateway: tuple[str, ...]


def look_at_logbook(folder: Path) -> Looked:
    """Read logbook, register and gateway's lines in a node's folder, without changing anything."""
    entries: list[Entry] = []
    errors: list[SutureError] = []
    head, torn = b"", 0
    try:
        reading = read_logbook(folder)
        for entry, state in reading:
            entries.append(entry)
            head = state.head
        torn = reading.torn
    except SutureError as error:
        errors.append(error)
    told: list[str] = []
    lines: list[str] = []
    try:
        told = contradictions(entries, read_register(folder))
    except SutureError as error:
        errors.append(error)
    try:
        lines = altered(entries, folder)
    except SutureError as error:
        errors.append(error)
    return Looked(
        entries=tuple(entries),
        head=head,
        torn=torn,
        errors=tuple(errors),
        rolled_back=tuple(told),
        gateway=tuple(lines),
    )
