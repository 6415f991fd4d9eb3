"""Models as canonical safetensors bytes, and back.

The form is the safetensors format (https://github.com/huggingface/safetensors, "Format"), restricted so that every set of
tensors has exactly one encoding: eight bytes of little-endian header length; a JSON object without white space that maps
the names, in ascending order, to ``{"dtype":"F32","shape":[...],"data_offsets":[begin,end]}``; spaces up to a multiple of
eight bytes; the little-endian values, tensor after tensor, without gaps. No metadata, no type but float32, no number that
is not finite. These are the bytes that the safetensors library itself writes for such tensors, and any safetensors reader
reads them; they are written here because the ledger holds their SHA-256, which must not depend on a library's version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fl_core.codec import construct, read_json
from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.models.tensors import Tensors, TensorSpec, specs_of, vector_length

MAX_HEADER_BYTES = 1 << 20
"""Largest JSON header (about 10,000 tensors)."""

_PREFIX = 8  # bytes of the header's length
_VALUE = 4  # bytes of a float32


def encode_model(tensors: Tensors) -> bytes:
    """Write ``tensors`` as canonical safetensors bytes.

    Args:
        tensors: At least one float32 array, all values finite.

    Raises:
        LocalProtocolError: No tensor, a wrong type, name or shape, a value that is not finite, or too many tensors.
    """
    specs = specs_of(tensors)
    if not specs:
        raise LocalProtocolError("a model has at least one tensor")
    header = _header(specs)
    if len(header) > _PREFIX + MAX_HEADER_BYTES:
        raise LocalProtocolError(f"a model's header has at most {MAX_HEADER_BYTES} bytes")
    parts = [header]
    for spec in specs:
        tensor = tensors[spec.name]
        if not np.isfinite(tensor).all():
            raise LocalProtocolError(f"tensor {spec.name!r} holds numbers that are not finite")
        parts.append(tensor.astype("<f4", copy=False).tobytes(order="C"))
    return b"".join(parts)


def decode_model(data: bytes, max_bytes: int) -> dict[str, npt.NDArray[np.float32]]:
    """Read canonical safetensors bytes.

    Accepts exactly what :func:`encode_model` writes: ``encode_model(decode_model(data, n)) == data``.

    Args:
        data: The bytes of the file.
        max_bytes: Largest acceptable length.

    Returns:
        Read-only arrays by name, in ascending order of names; they share the memory of ``data``.

    Raises:
        DecodeError: ``data`` is longer than ``max_bytes`` or is not the canonical encoding of any model.
    """
    if len(data) > max_bytes:
        raise DecodeError(f"model: at most {max_bytes} bytes are accepted, {len(data)} came")
    size = int.from_bytes(data[:_PREFIX], "little")
    if len(data) < _PREFIX or size > min(MAX_HEADER_BYTES, len(data) - _PREFIX):
        raise DecodeError("model: the header is cut off or too long")
    body = _PREFIX + size
    specs = _parse_header(data[_PREFIX:body])
    if _header(specs) != data[:body]:
        raise DecodeError("model: the header is not in its canonical form")
    expected = body + _VALUE * vector_length(specs)
    if len(data) != expected:
        raise DecodeError(f"model: {expected} bytes were announced, {len(data)} came")
    return _views(data, body, specs)


def model_digest(data: bytes) -> bytes:
    """Return the artifact digest of a model: the SHA-256 of its file, as ``sha256sum`` prints it."""
    return hashlib.sha256(data).digest()


def _header(specs: Sequence[TensorSpec]) -> bytes:
    """Return the length prefix and the padded JSON header."""
    entries: dict[str, object] = {}
    start = 0
    for spec in specs:
        end = start + _VALUE * spec.size
        entries[spec.name] = {"dtype": "F32", "shape": list(spec.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_PREFIX, "little") + text


def _parse_header(text: bytes) -> tuple[TensorSpec, ...]:
    """Read names, types and shapes; offsets and spelling are checked by writing the header again."""
    entries = read_json(text, limit=MAX_HEADER_BYTES, what="model")
    if not isinstance(entries, dict) or not entries:
        raise DecodeError("model: the header is not an object with at least one tensor")
    specs = []
    for name in sorted(entries):
        entry = entries[name]
        if not isinstance(entry, dict) or entry.get("dtype") != "F32":
            raise DecodeError("model: every entry of the header is a float32 tensor")
        shape = entry.get("shape")
        if not isinstance(shape, list) or any(type(size) is not int for size in shape):
            raise DecodeError("model: a tensor's shape is not a list of integers")
        specs.append(_spec(name, tuple(shape)))
    return tuple(specs)


def _spec(name: str, shape: tuple[int, ...]) -> TensorSpec:
    return construct("model", lambda: TensorSpec(name, shape))


def _views(data: bytes, start: int, specs: Sequence[TensorSpec]) -> dict[str, npt.NDArray[np.float32]]:
    tensors = {}
    for spec in specs:
        flat = np.frombuffer(data, dtype="<f4", count=spec.size, offset=start)
        if not np.isfinite(flat).all():
            raise DecodeError(f"model: tensor {spec.name!r} holds numbers that are not finite")
        tensor = flat.astype(np.float32, copy=False).reshape(spec.shape)
        tensor.flags.writeable = False
        tensors[spec.name] = tensor
        start += _VALUE * spec.size
    return tensors
