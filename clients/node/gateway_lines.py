"""The gateway's lines in ``outgoing.jsonl``, read beside the logbook that binds them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from fl_core.codec import read_json
from fl_core.errors import DecodeError, InputError
from ledger.files import open_plain
from ledger.logbook import Entry, Kind

FILE = "outgoing.jsonl"
MAX_LINE = 1 << 16
MAX_FILE = 1 << 30
KINDS = frozenset({Kind.REPLY.value, Kind.WITHHELD.value})
"""Entries of the logbook that are about a line."""


def lines_by_digest(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the lines in a node's folder by their SHA-256, hexadecimal, each with how often it is there.

    Raises:
        InputError: The file cannot be read.
    """
    counted: Counter[bytes] = Counter(_lines(folder / FILE))
    return {hashlib.sha256(line).hexdigest(): (line, number) for line, number in counted.items()}


def _lines(path: Path) -> Iterator[bytes]:
    if not path.exists():
        return
    try:
        with open_plain(path, MAX_FILE) as file:
            while line := file.readline(MAX_LINE):
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}).", fix="Restore it, or its rights."
        ) from error


def altered(entries: Iterable[Entry], folder: Path) -> list[str]:
    """Compare a logbook's entries with the gateway's lines; return what is wrong, in a sentence each.

    Raises:
        InputError: The file cannot be read.
    """
    left = {digest: number for digest, (_, number) in lines_by_digest(folder).items()}
    problems = []
    for entry in entries:
        if entry.kind in KINDS:
            left[entry.digest] = left.get(entry.digest, 0) - 1
            if left[entry.digest] < 0:
                problems.append(
                    f"entry {entry.n} of the logbook is about a line of {FILE} that was altered or removed"
                )
    return problems


def told(line: bytes) -> str:
    """Return what a line says, for a person; empty where it is none of ours."""
    try:
        facts = read_json(line, limit=MAX_LINE, what="line of the gateway", containers=1)
    except DecodeError:
        return ""
    if not isinstance(facts, dict):
        return ""
    shown = (facts.get(name) for name in ("event", "kind", "digest", "bundle", "code", "reason", "again"))
    return " ".join(str(value)[:80] for value in shown if value not in (None, ""))
