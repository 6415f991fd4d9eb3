"""What a party signs in place of its ciphertext: a hash-tree root over the ring elements.

Leaf j is ``context || wire bytes of ring element j`` with ``context = digest(CIPHERTEXT_LEAF, parameter set, packing,
L)``; the tree is that of :mod:`fl_core.hashtree`. So one ring element can be shown to be part of a signed ciphertext
without the others, and a root belongs to one layout, which also fixes the number of leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest
from fl_core.hashtree import leaf_hash, tree_root
from fl_core.secagg.layout import Layout
from fl_core.secagg.threads import spread


def ciphertext_root(
    layout: Layout, ciphertext: bytes | bytearray | memoryview | npt.NDArray[np.uint8], threads: int = 1
) -> bytes:
    """Return the 32-byte commitment to ``ciphertext``, which is public and not salted; ``threads`` share the hashing.

    Raises:
        DecodeError: It does not have the layout's size.
    """
    rows, context = layout.rows(ciphertext), leaf_context(layout)
    hashed = spread(
        lambda first, end: [leaf_hash(context, row.data) for row in rows[first:end]], len(rows), threads
    )
    return tree_root(chain.from_iterable(hashed))


def ciphertext_leaves(
    layout: Layout, ciphertext: bytes | bytearray | memoryview | npt.NDArray[np.uint8]
) -> Iterator[bytes]:
    """Give the leaf hashes under :func:`ciphertext_root`, one for each ring element.

    Raises:
        DecodeError: It does not have the layout's size.
    """
    for row in layout.rows(ciphertext):
        yield element_leaf(layout, row.data)


def element_leaf(layout: Layout, row: bytes | memoryview) -> bytes:
    """Return the leaf hash of one ring element's wire bytes."""
    return leaf_hash(leaf_context(layout), row)


@lru_cache(maxsize=16)
def leaf_context(layout: Layout) -> bytes:
    """Return what every leaf of a ciphertext of this layout begins with, 32 bytes."""
    length = layout.length.to_bytes(8, "big")
    return digest(Label.CIPHERTEXT_LEAF, layout.params.name.encode(), layout.packing.name.encode(), length)
