"""Secrets that cannot be printed, compared in variable time, pickled or copied by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Bytes that must not be shown.

    ``repr`` and ``str`` are redacted, comparison takes constant time, pickling is refused. CPython cannot wipe memory:
    an erased secret may survive in freed pages until they are reused (see the threat model).

    Args:
        value: The secret bytes.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"a secret is made of bytes, not of {type(value).__name__}")
        self._value = bytes(value)

    def reveal(self) -> bytes:
        """Return the bytes. The name is long so that every use is easy to find in a review."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a secret is no dictionary key

    def __repr__(self) -> str:
        return "Secret(<redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled")
