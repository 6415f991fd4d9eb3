"""A small sqlite file whose list of tables has more rows than anybody can read: its pages lead to one row again and again."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

PAGE = 1024
_LEAF, _INTERIOR = 13, 5  # kinds of pages of a table
_FILE_HEADER = 100


def endless_database(path: Path, *, levels: int = 8, fan_out: int = 120) -> None:
    """Write the file: ``fan_out ** levels`` rows about one index, in ``levels + 5`` pages."""
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA page_size={PAGE}")
    database.execute("CREATE TABLE a (x UNIQUE)")
    database.commit()
    database.close()
    original = path.read_bytes()
    table, index = _cells(original[:PAGE])
    pages = [original[PAGE : 2 * PAGE], original[2 * PAGE :], _leaf([table, index]), _leaf([index])]
    for _ in range(levels):
        pages.append(_interior([len(pages) + 1] * fan_out))
    root = _interior([4, len(pages) + 1], _FILE_HEADER)
    header = bytearray(original[:_FILE_HEADER])
    header[28:32] = struct.pack(">I", len(pages) + 1)
    path.write_bytes(bytes(header) + root[_FILE_HEADER:] + b"".join(pages))


def _cells(page: bytes) -> list[bytes]:
    """Return the rows of the first page."""
    (count,) = struct.unpack_from(">H", page, _FILE_HEADER + 3)
    offsets = struct.unpack_from(f">{count}H", page, _FILE_HEADER + 8)
    return [page[at : at + 2 + page[at]] for at in offsets]


def _leaf(cells: list[bytes]) -> bytes:
    return _page(_LEAF, cells, b"", 0)


def _interior(children: list[int], start: int = 0) -> bytes:
    *others, last = children
    cells = [struct.pack(">IB", child, min(key, 127)) for key, child in enumerate(others, 1)]
    return _page(_INTERIOR, cells, struct.pack(">I", last), start)


def _page(kind: int, cells: list[bytes], right: bytes, start: int) -> bytes:
    page, offsets, end = bytearray(PAGE), [], PAGE
    for cell in cells:
        end -= len(cell)
        page[end : end + len(cell)] = cell
        offsets.append(end)
    head = struct.pack(">BHHHB", kind, 0, len(cells), end, 0) + right
    head += struct.pack(f">{len(offsets)}H", *offsets)
    page[start : start + len(head)] = head
    return bytes(page)
