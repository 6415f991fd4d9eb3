"""The two encodings of Ethereum's JSON-RPC, strictly (execution-apis, "hex value encoding").

Quantities are ``0x`` and hexadecimal digits without leading zeros; data is ``0x`` and two digits for each byte. Decoding
accepts leading zeros, because several nodes send them.
"""

from __future__ import annotations

import binascii
import re

MAX_DATA_CHARS = 512 * 1024
"""Longest byte string that is decoded, in characters."""
Json = dict[str, object]

_QUANTITY = re.compile("0x[0-9a-fA-F]{1,64}")


class MalformedJson(ValueError):
    """A value is not of the form that the method calls for."""


def quantity(value: int) -> str:
    """Encode an integer."""
    return hex(value)


def data(value: bytes) -> str:
    """Encode bytes."""
    return "0x" + bytes(value).hex()


def to_bytes(value: object, size: int | None = None) -> bytes:
    """Decode bytes, of a fixed size when given.

    Raises:
        MalformedJson: They are not.
    """
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > MAX_DATA_CHARS:
        raise MalformedJson("expected 0x and hexadecimal digits")
    try:
        decoded = binascii.unhexlify(value[2:])
    except ValueError as error:
        raise MalformedJson("expected 0x and hexadecimal digits") from error
    if size is not None and len(decoded) != size:
        raise MalformedJson(f"expected {size} bytes, got {len(decoded)}")
    return decoded


def to_int(value: object) -> int:
    """Decode an integer in [0, 2^256).

    Raises:
        MalformedJson: It is none.
    """
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise MalformedJson("expected 0x and 1 to 64 hexadecimal digits")
    return int(value, 16)


def to_object(value: object) -> Json:
    """Check that a value is an object.

    Raises:
        MalformedJson: It is not.
    """
    if not isinstance(value, dict):
        raise MalformedJson("expected an object")
    return value


def to_list(value: object) -> list[object]:
    """Check that a value is a list.

    Raises:
        MalformedJson: It is not.
    """
    if not isinstance(value, list):
        raise MalformedJson("expected a list")
    return value
