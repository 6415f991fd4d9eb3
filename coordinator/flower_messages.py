"""The records of Flower messages on the coordinator's side; the glue's counterpart is in :mod:`clients.app`."""

from __future__ import annotations

import math

import numpy as np
from flwr.app import Array, ArrayRecord, Message

from fl_core.errors import DecodeError
from fl_core.models import Tensors
from fl_core.protocol import envelope

SEALED_STYPE = "suture.sealed.v1"
"""Flower's serialisation type of a sealed payload: opaque bytes."""


def sealed_record(name: str, data: bytes) -> ArrayRecord:
    """Return a record that carries ``data`` under ``name``, in chunks as Flower cuts arrays."""
    return ArrayRecord({name: Array("uint8", (len(data),), SEALED_STYPE, data)})


def sealed_bytes(message: Message, name: str) -> bytes:
    """Return the payload ``name`` of a reply.

    Raises:
        DecodeError: The reply does not carry it.
    """
    record = message.content.array_records.get(envelope.SEALED)
    if record is None or list(record) != [name]:
        raise DecodeError(f"a reply without its sealed {name}")
    return record[name].data


def reported_times(message: Message) -> dict[str, float]:
    """Return the milliseconds that a node reports; they decide nothing, and what is no time is ignored."""
    record = message.content.metric_records.get(envelope.METRICS)
    values = {} if record is None else dict(record.items())
    return {n: float(v) for n, v in values.items() if isinstance(v, int | float) and 0 <= v < math.inf}


def array_record(tensors: Tensors) -> ArrayRecord:
    """Return tensors as Flower's model record."""
    return ArrayRecord({name: Array(np.array(tensors[name], order="C")) for name in sorted(tensors)})


def tensors_of(record: ArrayRecord) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """Return the tensors of Flower's model record.

    Raises:
        DecodeError: One of them is not float32.
    """
    tensors = {name: np.asarray(array.numpy()) for name, array in record.items()}
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise DecodeError(f"tensor {name!r} must be float32, not {tensor.dtype}")
    return tensors
