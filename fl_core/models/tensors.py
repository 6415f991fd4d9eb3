"""Named float32 tensors and the one flat vector that stands for them.

The vector joins the tensors in ascending order of their names, each in C order. Names are plain ASCII, so this order is
the same by character and by byte. Nothing here reads or writes bytes: see :mod:`fl_core.models.artifact`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fl_core.errors import LocalProtocolError

Tensors = Mapping[str, npt.NDArray[np.float32]]
"""Named tensors of one model or one update."""

MAX_DIMENSIONS = 8
"""Largest rank of a tensor."""

MAX_ELEMENTS = 1 << 40
"""Largest number of values in one tensor."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,255}")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name and shape of one float32 tensor.

    Attributes:
        name: 1 to 256 characters of ``A-Z a-z 0-9 _ . / -``; the first is a letter, a digit or an underscore.
        shape: Up to :data:`MAX_DIMENSIONS` sizes of at least one; ``()`` is a single number.

    Raises:
        ValueError: A field is outside these ranges.
    """

    name: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError("a tensor's name has 1 to 256 characters of A-Z a-z 0-9 _ . / -")
        if len(self.shape) > MAX_DIMENSIONS or any(size < 1 for size in self.shape):
            raise ValueError(f"a tensor has at most {MAX_DIMENSIONS} dimensions, each of at least one")
        if self.size > MAX_ELEMENTS:
            raise ValueError(f"a tensor has at most {MAX_ELEMENTS} values")

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def specs_of(tensors: Tensors) -> tuple[TensorSpec, ...]:
    """Describe ``tensors``, in the order of the flat vector.

    Raises:
        LocalProtocolError: A tensor is not float32, or its name or shape is not allowed.
    """
    specs = []
    for name in sorted(tensors):
        tensor = tensors[name]
        if tensor.dtype != np.float32:
            raise LocalProtocolError(f"tensor {name!r} must be float32, not {tensor.dtype}")
        try:
            specs.append(TensorSpec(name, tuple(int(size) for size in tensor.shape)))
        except ValueError as error:
            raise LocalProtocolError(f"tensor {name!r}: {error}") from error
    return tuple(specs)


def vector_length(specs: Sequence[TensorSpec]) -> int:
    """Return P, the length of the flat vector of ``specs``."""
    return sum(spec.size for spec in specs)


def same_model(one: Tensors, other: Tensors) -> bool:
    """Return whether two models have the same names and shapes and, bit by bit, the same values.

    Raises:
        LocalProtocolError: A tensor is not float32, or its name or shape is not allowed.
    """
    return specs_of(one) == specs_of(other) and all(
        np.array_equal(_bits(one[name]), _bits(other[name])) for name in one
    )


def _bits(tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(tensor).view(np.uint32)


def flatten(tensors: Tensors) -> npt.NDArray[np.float32]:
    """Join ``tensors`` in the order of their names.

    Returns:
        A new ``(P,) float32`` vector.

    Raises:
        LocalProtocolError: A tensor is not float32, or its name or shape is not allowed.
    """
    specs = specs_of(tensors)
    vector = np.empty(vector_length(specs), dtype=np.float32)
    start = 0
    for spec in specs:
        vector[start : start + spec.size] = tensors[spec.name].reshape(-1)
        start += spec.size
    return vector


def unflatten(
    vector: npt.NDArray[np.float32], specs: Sequence[TensorSpec]
) -> dict[str, npt.NDArray[np.float32]]:
    """Cut ``vector`` into the tensors of ``specs``: the inverse of :func:`flatten`.

    Args:
        vector: ``(P,) float32``.
        specs: What to cut, in strictly ascending order of names.

    Returns:
        New arrays; none shares memory with ``vector``.

    Raises:
        LocalProtocolError: Length, type or the order of names does not fit.
    """
    names = [spec.name for spec in specs]
    if any(later <= earlier for earlier, later in pairwise(names)):
        raise LocalProtocolError("tensor specs are in strictly ascending order of their names")
    if vector.dtype != np.float32 or vector.shape != (vector_length(specs),):
        raise LocalProtocolError(
            f"expected ({vector_length(specs)},) float32, not {vector.shape} {vector.dtype}"
        )
    tensors = {}
    start = 0
    for spec in specs:
        tensors[spec.name] = vector[start : start + spec.size].reshape(spec.shape).copy()
        start += spec.size
    return tensors
