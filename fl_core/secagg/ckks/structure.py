"""What the bytes of a ciphertext, and of a key, must look like before SEAL's parsers see them.

The parsers are not made for hostile bytes: some encryption parameters end the whole process, by an exception that no caller can
catch. So parameters never reach them from outside: a context has one encoding, which is compared, and a key is that
encoding with the key inside.

TenSEAL's ciphertext is a protobuf message; ours have exactly this form and no other, since every chunk is full:

    0a len  varint(slots)             field 1: number of values, packed
    12 len  SEAL stream               field 2: one ciphertext
    19      eight bytes               field 3: scale, little-endian binary64

    SEAL stream = a15e | 16 | 4 | minor | 2 (zstd) | 0 0 | length of the stream (8, little-endian) | zstd frame

The frame must announce the size that two polynomials of N words and SEAL's own header have, so that a few bytes cannot
ask for gigabytes. zstd fails where the content is not of the announced size. Pure: bytes in, an error or nothing out.
"""

from __future__ import annotations

import struct

from fl_core.errors import DecodeError
from fl_core.secagg.ckks.parameters import CkksParameters

WHAT = "CKKS ciphertext"
KEY = "CKKS key"

_SEAL_HEADER = 16
_LAST_FIELD = 2  # bytes of a context's field 4
_SEAL_FIXED = 97
"""Bytes of SEAL's own header before the residues: parameters' id, form, sizes, scale, correction factor."""
_SEAL_KEY_FIXED = 72
"""The same for a key: parameters' id, count, scale, and the header and length of the residues."""
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def max_chunk(params: CkksParameters) -> int:
    """Return the most bytes that one ciphertext can have: what zstd makes of incompressible residues, and framing."""
    return 2 * params.degree * 8 + 1024


def check_chunk(params: CkksParameters, scale: float, data: bytes) -> None:
    """Check the form of one ciphertext.

    Raises:
        DecodeError: (1) it is too long, (2) the protobuf has another form, values, scale or trailing bytes, (3) the SEAL
            stream is cut off, has another length than it says, or another compression, (4) the zstd frame announces
            another size than a ciphertext of this parameter set has.
    """
    # (1)
    if len(data) > max_chunk(params):
        raise DecodeError(f"{WHAT}: at most {max_chunk(params)} bytes are accepted, {len(data)} came")
    # (2)
    sizes = _varint(params.slots)
    head, tail = b"\x0a" + _varint(len(sizes)) + sizes + b"\x12", b"\x19" + struct.pack("<d", scale)
    if not data.startswith(head) or not data.endswith(tail):
        raise DecodeError(f"{WHAT}: not a full ciphertext at the scale of this cohort")
    stream = _prefixed(WHAT, data[len(head) : -len(tail)])
    # (3) and (4)
    _check_stream(WHAT, stream, 2 * params.degree * 8 + _SEAL_FIXED)


def check_key(params: CkksParameters, context: bytes, data: bytes) -> None:
    """Check the form of a key: that of the context without one, and the key as field 3 before the context's last field.

    Args:
        params: The parameter set.
        context: The encoding of the context without a key.
        data: What came.

    Raises:
        DecodeError: (1) it is another context's key, (2) the protobuf has another form, (3) and (4) as for
            :func:`check_chunk`.
    """
    # (1)
    head, tail = context[:-_LAST_FIELD] + b"\x1a", context[-_LAST_FIELD:]
    if not data.startswith(head) or not data.endswith(tail):
        raise DecodeError(f"{KEY}: not one of this context")
    # (2)
    inner = _prefixed(KEY, data[len(head) : -len(tail)])
    if not inner.startswith(b"\x0a"):
        raise DecodeError(f"{KEY}: no key is in it")
    stream = _prefixed(KEY, inner[1:])
    # (3) and (4)
    _check_stream(KEY, stream, len(params.primes) * params.degree * 8 + _SEAL_KEY_FIXED)


def _prefixed(what: str, data: bytes) -> bytes:
    """Return the byte string that ``data`` is the length and the bytes of."""
    prefix = next((_varint(n) for n in _possible_lengths(len(data)) if data.startswith(_varint(n))), b"")
    if not prefix:
        raise DecodeError(f"{what}: the length of the SEAL stream is wrong")
    return data[len(prefix) :]


def _check_stream(what: str, stream: bytes, expected: int) -> None:
    """Check SEAL's header and what the zstd frame announces."""
    if len(stream) < _SEAL_HEADER:
        raise DecodeError(f"{what}: the length of the SEAL stream is wrong")
    magic, size, major, _, compression, reserved, announced = struct.unpack("<HBBBBHQ", stream[:_SEAL_HEADER])
    if (magic, size, major, compression, reserved) != (0xA15E, _SEAL_HEADER, 4, 2, 0):
        raise DecodeError(f"{what}: not a compressed stream of SEAL 4")
    if announced != len(stream):
        raise DecodeError(f"{what}: the SEAL stream says {announced} bytes and has {len(stream)}")
    found = _zstd_content(what, stream[_SEAL_HEADER:])
    if found != expected:
        raise DecodeError(f"{what}: the compressed part announces {found} bytes, not {expected}")


def _varint(value: int) -> bytes:
    """Return protobuf's only canonical form of an unsigned integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _possible_lengths(size: int) -> list[int]:
    """Return the lengths of a byte string that has ``size`` bytes together with its length; at most one."""
    return [size - width for width in (1, 2, 3) if size >= width and len(_varint(size - width)) == width]


def _zstd_content(what: str, frame: bytes) -> int:
    """Return the content size that a zstd frame announces [RFC 8878 §3.1.1.1]; single segment, no dictionary.

    Raises:
        DecodeError: It is no such frame, or does not announce its size.
    """
    if len(frame) < 9 or not frame.startswith(_ZSTD_MAGIC):
        raise DecodeError(f"{what}: no zstd frame")
    descriptor = frame[4]
    if (
        descriptor & 0b0011_1111 != 0b0010_0000
    ):  # single segment, no checksum, no dictionary, reserved bits clear
        raise DecodeError(f"{what}: a zstd frame of another kind than SEAL writes")
    width = (1, 2, 4, 8)[descriptor >> 6]
    value = int.from_bytes(frame[5 : 5 + width], "little")
    return value + 256 if width == 2 else value
