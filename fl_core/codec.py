"""The canonical wire form: fixed-width big-endian integers and length-prefixed byte strings, nothing else.

A message is the concatenation of its fields in order, so there is exactly one encoding of every value and no schema
travels with it. Decoding is strict: every length is checked against the limit of its field *before* anything is read or
allocated, and :meth:`Reader.end` rejects trailing bytes. See ``docs/explanation/wire-format.md``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import TypeVar

from fl_core.errors import DecodeError, LocalProtocolError

T = TypeVar("T")


class Writer:
    """Appends fields to one message."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def uint(self, value: int, size: int) -> None:
        """Append ``value`` in [0, 256^size) as ``size`` big-endian bytes."""
        if not 0 <= value < 1 << (8 * size):
            raise LocalProtocolError(f"an integer of {size} bytes lies in [0, 2^{8 * size}), not {value}")
        self._parts.append(value.to_bytes(size, "big"))

    def fixed(self, value: bytes, size: int) -> None:
        """Append exactly ``size`` bytes."""
        if len(value) != size:
            raise LocalProtocolError(f"a field of {size} bytes got {len(value)}")
        self._parts.append(bytes(value))

    def opaque(self, value: bytes, limit: int) -> None:
        """Append a byte string of at most ``limit`` bytes, preceded by its length in four bytes."""
        if len(value) > limit:
            raise LocalProtocolError(f"a field of at most {limit} bytes got {len(value)}")
        self.uint(len(value), 4)
        self._parts.append(bytes(value))

    def text(self, value: str, limit: int) -> None:
        """Append a string as UTF-8 of at most ``limit`` bytes; a lone surrogate has no UTF-8."""
        try:
            encoded = value.encode()
        except UnicodeEncodeError as error:
            raise LocalProtocolError("a text field holds a lone surrogate") from error
        self.opaque(encoded, limit)

    def float64(self, value: float) -> None:
        """Append a finite number as IEEE 754 binary64, big-endian; minus zero is not allowed."""
        if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
            raise LocalProtocolError("only finite numbers other than minus zero are encoded")
        self._parts.append(struct.pack(">d", value))

    def count(self, value: int, limit: int) -> None:
        """Append the length of a list of at most ``limit`` entries."""
        if value > limit:
            raise LocalProtocolError(f"a list of at most {limit} entries got {value}")
        self.uint(value, 4)

    def bytes(self) -> bytes:
        """Return the message."""
        return b"".join(self._parts)


class Reader:
    """Takes fields off one message, strictly.

    Args:
        data: The message.
        limit: Largest acceptable size of the message in bytes.
        what: Name of the message for error texts.

    Raises:
        DecodeError: ``data`` is longer than ``limit``.
    """

    def __init__(self, data: bytes, *, limit: int, what: str) -> None:
        if len(data) > limit:
            raise DecodeError(f"{what}: at most {limit} bytes are accepted, {len(data)} came")
        self._data = memoryview(data)
        self._at = 0
        self._what = what

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise DecodeError(f"{self._what}: cut off at byte {self._at}")
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece.tobytes()

    def uint(self, size: int) -> int:
        """Take a big-endian integer of ``size`` bytes."""
        return int.from_bytes(self._take(size), "big")

    def fixed(self, size: int) -> bytes:
        """Take exactly ``size`` bytes."""
        return self._take(size)

    def opaque(self, limit: int) -> bytes:
        """Take a length-prefixed byte string of at most ``limit`` bytes."""
        size = self.uint(4)
        if size > limit:
            raise DecodeError(f"{self._what}: a field of at most {limit} bytes claims {size}")
        return self._take(size)

    def text(self, limit: int) -> str:
        """Take a UTF-8 string of at most ``limit`` bytes."""
        try:
            return self.opaque(limit).decode()
        except UnicodeDecodeError as error:
            raise DecodeError(f"{self._what}: a text field is not UTF-8") from error

    def float64(self) -> float:
        """Take a finite number that is not minus zero."""
        (value,) = struct.unpack(">d", self._take(8))
        if not math.isfinite(value) or (value == 0 and math.copysign(1, value) < 0):
            raise DecodeError(f"{self._what}: a number is not finite or is minus zero")
        return float(value)

    def count(self, limit: int) -> int:
        """Take the length of a list of at most ``limit`` entries."""
        value = self.uint(4)
        if value > limit:
            raise DecodeError(f"{self._what}: a list of at most {limit} entries claims {value}")
        return value

    def end(self) -> None:
        """Assert that nothing is left.

        Raises:
            DecodeError: Bytes trail the message.
        """
        left = len(self._data) - self._at
        if left:
            raise DecodeError(f"{self._what}: {left} bytes trail the message")


def construct(what: str, build: Callable[[], T]) -> T:
    """Run a constructor whose own checks raise :class:`ValueError`, as part of decoding.

    Raises:
        DecodeError: The fields are well-formed but break a rule of the message.
    """
    try:
        return build()
    except ValueError as error:
        raise DecodeError(f"{what}: {error}") from error
