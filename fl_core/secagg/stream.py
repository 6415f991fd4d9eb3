"""Encryption of a vector that is longer than memory, in one pass: quantised chunks in, wire bytes out.

This is run by the client. The values come as an iterator of chunks of any sizes (those of
:meth:`fl_core.quantise.Quantiser.quantise_chunks`, say), the ciphertext goes to a sink in order, and its root is hashed on
the way. The bytes are those of :func:`fl_core.secagg.encrypt.encrypt_into`. Scratch memory is a few blocks
(:func:`~fl_core.secagg.public_elements.block_elements`) and 32 bytes for each level of the hash tree, whatever L is.

**The caller owes** what :mod:`fl_core.secagg.encrypt` says about seeds, and besides: after any error, throw away what the
sink has got. A ciphertext that ends early was never signed, and its seed is never used again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fl_core.errors import LocalProtocolError
from fl_core.hashtree import TreeHasher, leaf_hash
from fl_core.secagg.commitment import leaf_context
from fl_core.secagg.encrypt import Bytes, ElementEncryptor, Values
from fl_core.secagg.layout import CHECK_ELEMENTS, Layout
from fl_core.secagg.public_elements import block_elements
from fl_core.secagg.round_secret import RoundSecret
from fl_core.secret import Secret


class Sink(Protocol):
    """Takes the ciphertext in order; an open binary file is one."""

    def write(self, data: memoryview, /) -> object:
        """Take all of ``data``, which is overwritten afterwards."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Streamed:
    """What :func:`encrypt_stream` returns.

    Attributes:
        secret: What the ciphertext is under.
        root: Its :func:`~fl_core.secagg.commitment.ciphertext_root`, 32 bytes.
        ciphertext_bytes: Bytes that the sink got.
        elements: Ring elements among them, leaves under the root.
    """

    secret: RoundSecret
    root: bytes
    ciphertext_bytes: int
    elements: int


def encrypt_stream(
    layout: Layout, header_digest: bytes, chunks: Iterable[Values], seed: Secret, sink: Sink
) -> Streamed:
    """Encrypt the concatenation of ``chunks`` and write the ciphertext to ``sink``.

    Args:
        layout: The shape of the round's ciphertexts.
        header_digest: 32 bytes; fixes the public elements.
        chunks: Vectors of the layout's ``value_dtype``, L values in all; each is used before the next is asked for.
        seed: 32 fresh random bytes, used for this call only.
        sink: Where the bytes go, a ring element's row at a time or more.

    Raises:
        LocalProtocolError: (1) a chunk of another type, (2) more or (3) fewer values than the layout's, or as for
            :func:`~fl_core.secagg.encrypt.encrypt`.
    """
    encryptor = ElementEncryptor(layout, header_digest, seed)
    writer = _RowWriter(layout, sink)
    rows = np.empty((block_elements(layout.params), layout.element_bytes), np.uint8)
    encryptor.encrypt_checks(rows[:CHECK_ELEMENTS])
    writer.write(rows[:CHECK_ELEMENTS])
    for block in _blocks(layout, chunks):
        used = rows[: -(-block.size // layout.values_per_element)]
        encryptor.encrypt(block, used)
        writer.write(used)
    return writer.finish(encryptor.secret)


def _blocks(layout: Layout, chunks: Iterable[Values]) -> Iterator[Values]:
    """Give the values of ``chunks`` in blocks, all of one size but the last; checks (1) to (3) of :func:`encrypt_stream`."""
    block = np.empty(block_elements(layout.params) * layout.values_per_element, layout.value_dtype)
    filled, remaining = 0, layout.length
    for chunk in chunks:
        # (1)
        if chunk.dtype != block.dtype or chunk.ndim != 1:
            raise LocalProtocolError(f"chunks are vectors of {block.dtype.name}")
        # (2)
        if chunk.size > remaining:
            raise LocalProtocolError(f"there are more than this round's {layout.length} values")
        remaining -= chunk.size
        start = 0
        while start < chunk.size:
            taken = min(chunk.size - start, block.size - filled)
            block[filled : filled + taken] = chunk[start : start + taken]
            start, filled = start + taken, filled + taken
            if filled == block.size:
                yield block
                filled = 0
    # (3)
    if remaining:
        raise LocalProtocolError(f"{remaining} of this round's {layout.length} values are missing")
    if filled:
        yield block[:filled]


class _RowWriter:
    """Writes rows and hashes them."""

    def __init__(self, layout: Layout, sink: Sink) -> None:
        self._layout, self._sink = layout, sink
        self._context, self._tree = leaf_context(layout), TreeHasher()

    def write(self, rows: Bytes) -> None:
        """Hash each row as a leaf, and write all of them."""
        for row in rows:
            self._tree.append(leaf_hash(self._context, row.data))
        self._sink.write(rows.data.cast("B"))

    def finish(self, secret: RoundSecret) -> Streamed:
        """Return the result, of all rows."""
        return Streamed(
            secret=secret,
            root=self._tree.root(),
            ciphertext_bytes=self._layout.ciphertext_bytes,
            elements=self._tree.count,
        )
