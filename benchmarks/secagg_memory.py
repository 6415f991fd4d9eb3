"""What one party of the secure aggregation needs in memory, in a process of its own; prints it as JSON.

``python -m benchmarks.secagg_memory client 100000000 8`` and so on; :data:`WORK` lists the pieces.

Peaks are of what only this process uses (``RssAnon``), looked at every few milliseconds; pages of mapped files, which the system
takes back, do not count.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np

from benchmarks.secagg_inputs import contribution, round_of, update
from benchmarks.secagg_round import coordinate, prepare
from fl_core.protocol.client import contribute, contribute_into
from ledger.archive import Archive

_PIECE = 1 << 20  # values written at a time
_WARM_UP = 1000  # values


def client_memory(length: int, count: int) -> dict[str, Any]:
    """The peak of a client that makes its whole contribution from an update in a file to a frame in its archive.

    Everything is in it: quantising, encrypting, hashing, sharing, sealing, signing, writing and bringing to the disk.
    """

    def work(folder: Path, length: int, watch: Watch) -> int:
        header, parties = round_of(length, count)
        values = np.memmap(folder / str(length), np.float32, mode="r", shape=(length,))
        asked = contribution(parties, 0, values)
        digest, _ = Archive(folder / "frames").put_written(
            lambda file: contribute_into(file, header, **asked)
        )
        return Archive(folder / "frames").path_of(digest).stat().st_size

    return _above_warm(work, length)


def frame_memory(length: int, count: int) -> dict[str, Any]:
    """The peak of a client that makes the same contribution as a message in memory."""

    def work(folder: Path, length: int, watch: Watch) -> int:
        header, parties = round_of(length, count)
        values = np.memmap(folder / str(length), np.float32, mode="r", shape=(length,))
        made = contribute(header, **contribution(parties, 0, values))
        encoded = made.frame.encode()
        watch.look()  # copying kept the interpreter to itself
        return len(encoded)

    return _above_warm(work, length)


def coordinator_memory(length: int, count: int) -> dict[str, Any]:
    """The peak of a coordinator that takes ``count`` contributions, asks its committee and opens the sum.

    The contributions are made before; everybody is a member.
    """
    with TemporaryDirectory() as name:
        prepared = prepare(Path(name), length, count)
        before = own_memory()
        with Watch() as watch:
            coordinate(prepared)
    return {"above_bytes": watch.peak - before, "peak_bytes": watch.peak}


def _above_warm(work: Callable[[Path, int, Watch], int], length: int) -> dict[str, Any]:
    """Do the work for a few values and then for all of them; what counts is above what the process had after the first."""
    with TemporaryDirectory() as name:
        for size in (_WARM_UP, length):
            _write_update(Path(name) / str(size), size)
        work(Path(name), _WARM_UP, Watch())
        before, started = own_memory(), time.perf_counter()
        with Watch() as watch:
            size = work(Path(name), length, watch)
        seconds = time.perf_counter() - started
    return {
        "above_bytes": watch.peak - before,
        "peak_bytes": watch.peak,
        "frame_bytes": size,
        "wall_s": seconds,
    }


def _write_update(path: Path, length: int) -> None:
    with path.open("wb") as file:
        piece = update(min(_PIECE, length))
        for first in range(0, length, _PIECE):
            file.write(piece[: length - first].tobytes())


def own_memory() -> int:
    """Return the bytes that only this process uses."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon")))


class Watch:
    """Looks at :func:`own_memory` every few milliseconds."""

    def __init__(self) -> None:
        self.peak = own_memory()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def look(self) -> None:
        """Look now, where much is held and the interpreter was never free."""
        self.peak = max(self.peak, own_memory())

    def _run(self) -> None:
        while not self._over.wait(0.003):
            self.look()


WORK: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "client": client_memory,
    "frame": frame_memory,
    "coordinator": coordinator_memory,
}


if __name__ == "__main__":
    print(json.dumps(WORK[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))))
