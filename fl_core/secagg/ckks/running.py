"""The coordinator's sum: one upload at a time, memory for one sum and one upload whatever the number of holders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.secagg.ckks.keys import PublicContext


class RunningSum:
    """Adds uploads without being able to open them.

    Args:
        context: The public context.
        length: Number of values of every upload.
    """

    def __init__(self, context: PublicContext, length: int) -> None:
        self._context = context
        self._chunks = context.params.chunks(length)
        self._sum: list[Any] = []
        self.count = 0

    def add(self, chunks: Sequence[bytes]) -> None:
        """Add one upload; all of it or, where one ciphertext is bad, nothing.

        Raises:
            DecodeError: The number or the form of the ciphertexts is wrong.
            LocalProtocolError: The cohort's size is reached; more would overflow.
        """
        if self.count == self._context.holders:
            raise LocalProtocolError(f"a sum holds at most {self._context.holders} uploads")
        if len(chunks) != self._chunks:
            raise DecodeError(f"an upload has {self._chunks} ciphertexts, {len(chunks)} came")
        vectors = [self._context.read(chunk) for chunk in chunks]
        if not self._sum:
            self._sum = vectors
        else:
            for total, vector in zip(self._sum, vectors, strict=True):
                total.add_(vector)
        self.count += 1

    def encode(self) -> tuple[bytes, ...]:
        """Return the encrypted sum.

        Raises:
            LocalProtocolError: Nothing was added.
        """
        if not self._sum:
            raise LocalProtocolError("a sum of no uploads is not encrypted")
        return tuple(total.serialize() for total in self._sum)
