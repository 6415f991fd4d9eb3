"""Searches files for what must not lie in them in the clear: updates, their integers, round secrets and their seeds, and patients' rows.

Whether a process could write its memory to a file in a crash is asked of the kernel.

A piece is looked for as it is, as hexadecimal digits and in base64 at each of its three alignments; a row as its text, and as the
float32 and float64 that a program reads from it. Files that a process still holds open after somebody deleted them are searched, too.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.simulators.tap import TELLING, read_tap

BEGIN = 8
"""Bytes of a needle by which it is found; the rest is compared then."""
MUST_BE_TAPPED = {"update", "values", "seed", "secret"}


class Needles:
    """What is looked for.

    Args:
        wanted: What it is, and its bytes, :data:`BEGIN` or more each.
    """

    def __init__(self, wanted: Mapping[str, Iterable[bytes]]) -> None:
        self._by_begin: dict[bytes, list[tuple[bytes, str]]] = {}
        self.number = 0
        for what, needles in wanted.items():
            for needle in set(needles):
                self._by_begin.setdefault(needle[:BEGIN], []).append((needle, what))
                self.number += 1
        self._begins = np.sort(np.array([*self._by_begin], dtype=f"S{BEGIN}").view(np.uint64))
        pairs = np.array([word[:2] for word in self._by_begin], dtype="S2").view(np.uint16)
        self._first_two = np.zeros(1 << 16, np.bool_)
        self._first_two[pairs] = True

    def within(self, data: bytes) -> set[str]:
        """Return what of it lies in ``data``."""
        if len(data) < BEGIN:
            return set()
        flat = np.frombuffer(data, np.uint8)
        return {
            what
            for at in self._places(flat)
            for needle, what in self._by_begin.get(data[at : at + BEGIN], ())
            if data.startswith(needle, at)
        }

    def _places(self, flat: npt.NDArray[np.uint8]) -> list[int]:
        """Return where a needle begins, by its first bytes."""
        whole = len(flat) - BEGIN + 1
        pairs = np.lib.stride_tricks.sliding_window_view(flat, 2)[:whole].copy().view(np.uint16).ravel()
        at = np.flatnonzero(self._first_two[pairs])
        words = np.lib.stride_tricks.sliding_window_view(flat, BEGIN)[at].copy().view(np.uint64).ravel()
        return list(map(int, at[np.isin(words, self._begins)]))


def forms(piece: bytes) -> Iterator[bytes]:
    """Yield a piece as it may stand in a file."""
    yield piece
    yield piece.hex().encode()
    for start in range(3):
        yield base64.b64encode(piece[start : start + (len(piece) - start) // 3 * 3])


def row_forms(row: bytes) -> Iterator[bytes]:
    """Yield a line of a data set as text and, where all of it are numbers, as floats."""
    yield row
    with suppress(ValueError):
        values = np.array(row.split(b","), np.float64)
        for dtype in ("<f4", "<f8"):
            if len(set(data := values.astype(dtype).tobytes())) >= TELLING:
                yield data


def rows_of(nodes: Iterable[Path]) -> set[bytes]:
    """Return every patient's row in the nodes' data sets."""
    sets = [path for node in nodes for path in own_data(node) if path.suffix == ".csv"]
    return {row for path in sets for row in path.read_bytes().splitlines()[1:] if len(row) >= BEGIN}


def own_data(node: Path) -> set[Path]:
    """Return the files in which a holder keeps its own data sets."""
    return {path for path in (node / "data").rglob("*") if path.is_file()}


def needles(tap: Path, nodes: Iterable[Path]) -> tuple[Needles, Needles]:
    """Return what may lie nowhere, and the rows, which may lie in their holders' own data sets."""
    tapped = read_tap(tap)
    secrets = {what: [form for one in found for form in forms(one)] for what, found in tapped.items()}
    rows = [form for row in rows_of(nodes) for form in row_forms(row)]
    return Needles(secrets), Needles({"row": rows})


def search(
    tap: Path, nodes: Iterable[Path], places: Iterable[Path], processes: Iterable[int] = ()
) -> list[str]:
    """Search folders and what processes hold open; return what lies where, in words; nothing is as it should be.

    Args:
        tap: What was noted; is not searched.
        nodes: Folders of the holders' nodes, whose own data sets may hold rows.
        places: Folders to search, with all that is below them.
        processes: Whose deleted files are searched.
    """
    nodes = list(nodes)
    secret, row = needles(tap, nodes)
    own = {path.resolve() for node in nodes for path in own_data(node)}
    found = []
    for name, data in [*_files(places, tap), *_deleted(processes)]:
        what = secret.within(data) | (set() if Path(name) in own else row.within(data))
        found.extend(f"{one} in {name}" for one in sorted(what))
    return found


def _files(places: Iterable[Path], tap: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted({path.resolve() for place in places for path in place.rglob("*")}):
        with suppress(FileNotFoundError):  # services at work delete files
            if path != tap.resolve() and stat.S_ISREG(path.stat().st_mode):
                yield str(path), path.read_bytes()


def _deleted(processes: Iterable[int]) -> Iterator[tuple[str, bytes]]:
    for process in processes:
        with suppress(OSError):
            for one in Path(f"/proc/{process}/fd").iterdir():
                with suppress(OSError):
                    name = os.readlink(one)
                    if name.endswith(" (deleted)") and stat.S_ISREG(one.stat().st_mode):
                        yield f"{name} of process {process}", one.read_bytes()


def may_dump_core(processes: Iterable[int]) -> list[str]:
    """Return which of the processes would write its memory to a file if it crashed, in words; nothing is as it should be."""
    found = []
    for process in processes:
        with suppress(OSError):  # it has ended
            command = (
                Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
            for line in Path(f"/proc/{process}/limits").read_text().splitlines():
                if line.startswith("Max core file size") and line.split()[4:6] != ["0", "0"]:
                    found.append(f"a core dump of {command}")
    return found
