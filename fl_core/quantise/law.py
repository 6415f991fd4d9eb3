"""The numbers of the quantisation law, and the blocks it is applied to.

With ``b`` value bits, ``top = 2^b - 2`` and ``half = top / 2``. A float x of a block with clip C from a client of weight
W / top becomes the integer ``round(clamp(x, -C, C) / C * W / 2) + half``, rounded stochastically, in [0, top]. Zero is
exactly ``half``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MAX_CONTRIBUTIONS = 1024
"""Most contributions in one decoded sum. Deviations then stay below 2^10 * 2^19 and their squares below 2^58."""

MAX_VALUE_BITS = 20
"""The widest quantised value."""

MIN_CLIP = 2.0**-60
MAX_CLIP = 2.0**60
"""Clips lie between these, so that no decoded value leaves float32's normal range."""


@dataclass(frozen=True, slots=True)
class Law:
    """The integers that follow from the number of value bits.

    Attributes:
        value_bits: Bits of one quantised value, b in [2, 20].

    Raises:
        ValueError: ``value_bits`` is out of range.
    """

    value_bits: int = 15

    def __post_init__(self) -> None:
        if not 2 <= self.value_bits <= MAX_VALUE_BITS:
            raise ValueError(f"a quantised value has 2 to {MAX_VALUE_BITS} bits, not {self.value_bits}")

    @property
    def top(self) -> int:
        """Largest quantised value and largest weight, 2^b - 2."""
        return (1 << self.value_bits) - 2

    @property
    def half(self) -> int:
        """The quantised zero, 2^(b-1) - 1."""
        return self.top // 2

    @property
    def limit(self) -> int:
        """Counters lie in [0, limit), limit = 2^b."""
        return 1 << self.value_bits

    @property
    def dtype(self) -> type[np.uint16 | np.uint32]:
        """What quantised values are stored as: uint16, or uint32 if they have more than 16 bits."""
        return np.uint16 if self.value_bits <= 16 else np.uint32


@dataclass(frozen=True, slots=True)
class Block:
    """A run of consecutive values of the update vector that share one clip; usually one tensor.

    Attributes:
        name: What the values are, for reports; 1 to 256 characters.
        size: Number of values, at least one.
        clip: C: values are clamped to [-C, C]; between 2^-60 and 2^60.

    Raises:
        ValueError: A field is out of range.
    """

    name: str
    size: int
    clip: float

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= 256:
            raise ValueError("a block's name has 1 to 256 characters")
        if self.size < 1:
            raise ValueError(f"a block has at least one value, not {self.size}")
        if not (math.isfinite(self.clip) and MIN_CLIP <= self.clip <= MAX_CLIP):
            raise ValueError(f"a clip lies in [2^-60, 2^60], not {self.clip!r}")
