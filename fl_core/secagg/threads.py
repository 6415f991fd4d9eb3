"""Work on ring elements, spread over threads.

The compiled kernels and hashing release the interpreter lock, so contiguous runs of ring elements go to one thread each. (A
parallel loop inside each kernel was slower: the runs between synchronisations are too short.) ``cryptography``'s block
cipher keeps the lock, so the keystreams, about a quarter of an encryption on one thread, are made one at a time. Every
element's bytes depend on its index alone, never on who works on it: the streams are entered at the element's position. So
the result is the same for every number of threads, and a test compares.

Nothing here outlives the call, and nothing is shared but disjoint rows of one buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fl_core.errors import LocalProtocolError

Result = TypeVar("Result")

MAX_THREADS = 64
"""More are refused: each has scratch memory of its own, about a megabyte."""


def spread(work: Callable[[int, int], Result], count: int, threads: int) -> list[Result]:
    """Call ``work(first, end)`` for contiguous runs that cover [0, count), and return the results in order.

    Args:
        work: Handles elements first, ..., end - 1; called once for each run, at the same time as others.
        count: How many elements, at least one.
        threads: The most runs, in [1, :data:`MAX_THREADS`]. With one, ``work`` is called in this thread.

    Raises:
        LocalProtocolError: The number of threads is out of range.
        Exception: Whatever the first run that failed raised, after all have ended.
    """
    if not 1 <= threads <= MAX_THREADS:
        raise LocalProtocolError(f"work is spread over 1 to {MAX_THREADS} threads, not {threads}")
    parts = min(threads, count)
    edges = [count * part // parts for part in range(parts + 1)]
    if parts == 1:
        return [work(0, count)]
    with ThreadPoolExecutor(parts) as pool:
        return list(pool.map(work, edges[:-1], edges[1:]))
