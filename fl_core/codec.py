"""The canonical wire form: fixed-width big-endian integers and length-prefixed byte strings, nothing else.

A message is the concatenation of its fields in order, so there is exactly one encoding of every value and no schema
travels with it. Decoding is strict: every length is checked against the limit of its field *before* anything is read or
allocated, and :meth:`Reader.end` rejects trailing bytes. See ``docs/explanation/wire-format.md``.

Documents that people read are JSON; :func:`read_json` is the one way to read such bytes when they come from a peer.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable
from typing import TypeVar

from fl_core.errors import DecodeError, LocalProtocolError

T = TypeVar("T")

MAX_JSON_DEPTH = 32
"""Deepest nesting of lists and objects in a JSON document; none of ours is deeper than four."""

_JSON_NESTING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
"""A whole string (an unterminated one reaches to the end, which keeps the search linear), or one bracket."""


class Writer:
    """Appends fields to one message."""

    def __init__(self) -> None:
        self._parts: list[bytes | memoryview] = []

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

    def opaque(self, value: bytes | memoryview, limit: int) -> None:
        """Append a byte string of at most ``limit`` bytes, preceded by its length in four bytes; a view is not copied here."""
        if len(value) > limit:
            raise LocalProtocolError(f"a field of at most {limit} bytes got {len(value)}")
        self.uint(len(value), 4)
        self._parts.append(value if isinstance(value, memoryview) else bytes(value))

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
        self._data = memoryview(bytes(data))  # copies only what could change under the views
        self._at = 0
        self._what = what

    def _piece(self, size: int) -> memoryview:
        if size > len(self._data) - self._at:
            raise DecodeError(f"{self._what}: cut off at byte {self._at}")
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece

    def _take(self, size: int) -> bytes:
        return self._piece(size).tobytes()

    def uint(self, size: int) -> int:
        """Take a big-endian integer of ``size`` bytes."""
        return int.from_bytes(self._take(size), "big")

    def fixed(self, size: int) -> bytes:
        """Take exactly ``size`` bytes."""
        return self._take(size)

    def view(self, size: int) -> memoryview:
        """Take exactly ``size`` bytes without copying them; the message stays in memory as long as the view."""
        return self._piece(size)

    def opaque(self, limit: int) -> bytes:
        """Take a length-prefixed byte string of at most ``limit`` bytes."""
        return self.opaque_view(limit).tobytes()

    def opaque_view(self, limit: int) -> memoryview:
        """Like :meth:`opaque`, without copying; the message stays in memory as long as the view."""
        size = self.uint(4)
        if size > limit:
            raise DecodeError(f"{self._what}: a field of at most {limit} bytes claims {size}")
        return self._piece(size)

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


def _no_constant(name: str) -> object:
    """NaN and Infinity are Python's additions to JSON."""
    raise ValueError(f"{name} is not JSON")


def read_json(data: bytes, *, limit: int, what: str, containers: int | None = None) -> object:
    """Read a JSON document in UTF-8 without trusting it: size and nesting are bounded before it is parsed.

    The standard parser recurses in C. Its guard is the interpreter's recursion limit, which libraries raise when they are
    imported, so that a few hundred kilobytes of brackets would end the process. Whether the document is in its canonical
    form is for the caller to check.

    Args:
        data: The document.
        limit: Largest acceptable size in bytes.
        what: Name of the document for error texts.
        containers: Most lists and objects in it, where its form says how many there are; millions of them are slow.

    Raises:
        DecodeError: It is longer than ``limit``, nested deeper than :data:`MAX_JSON_DEPTH`, has more ``containers``, or is
            not JSON in UTF-8.
    """
    if len(data) > limit:
        raise DecodeError(f"{what}: at most {limit} bytes are accepted, {len(data)} came")
    try:
        text, depth, opened = data.decode(), 0, 0
        for token in _JSON_NESTING.finditer(text):
            change = {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
            depth, opened = depth + change, opened + (change > 0)
            if depth > MAX_JSON_DEPTH:
                raise DecodeError(f"{what}: nested deeper than {MAX_JSON_DEPTH} levels")
            if containers is not None and opened > containers:
                raise DecodeError(f"{what}: more than {containers} lists and objects")
        value: object = json.loads(text, parse_constant=_no_constant)
    except ValueError as error:
        raise DecodeError(f"{what}: not JSON in UTF-8{_place(error)}") from error
    return value


def _place(error: ValueError) -> str:
    """Say where a document stops being JSON, and why; nothing of the document is quoted."""
    if isinstance(error, json.JSONDecodeError):
        return f" (line {error.lineno}, column {error.colno}: {error.msg})"
    if isinstance(error, UnicodeDecodeError):
        return f" (byte {error.start + 1})"
    return " (a number that JSON does not have, or one that is too long)"
