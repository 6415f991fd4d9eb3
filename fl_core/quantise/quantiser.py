"""From a client's update to the vector that is encrypted, and from the decrypted sum to the mean update.

The vector is all values of all blocks in order, then the weight W, then further counters. This module neither encrypts nor
sums, and it draws no randomness of its own. Who runs what: a client calls :meth:`Quantiser.weight_units` and
:meth:`Quantiser.quantise`; whoever recomputes an aggregate calls :meth:`Quantiser.dequantise` and
:meth:`Quantiser.next_blocks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fl_core.errors import InputError, LocalProtocolError, VerificationError
from fl_core.quantise.clipping import next_clip
from fl_core.quantise.law import MAX_CONTRIBUTIONS, Block, Law
from fl_core.randomness import Stream

_CHUNK = 1 << 15
"""Values worked on at a time: bounds scratch memory and keeps a chunk in the second-level cache."""

MAX_COUNTERS = 64
"""Most counters beside the weight."""


Values = npt.NDArray[np.uint16 | np.uint32]


class Quantised(NamedTuple):
    """What :meth:`Quantiser.quantise` returns.

    Attributes:
        values: ``(L,)`` of the law's dtype (uint16, or uint32 above 16 bits), values in [0, 2^b).
        clipped: How many values of the update lay outside their block's clip.
    """

    values: Values
    clipped: int


class Dequantised(NamedTuple):
    """What :meth:`Quantiser.dequantise` returns.

    Attributes:
        mean: ``(P,) float32``, the weighted mean update.
        weight_units: Sum of the clients' weights, in units of 1 / top.
        counters: Sums of the further counters, in their order.
    """

    mean: npt.NDArray[np.float32]
    weight_units: int
    counters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Quantiser:
    """The public choices of one round's quantisation; everybody derives the same one from the round's header.

    Attributes:
        blocks: The blocks of the update vector, in order; at least one.
        counters: Names of the integers that are summed besides the weight, in order; distinct.
        weight_cap: Number of examples from which on a client weighs 1; at least one.
        value_bits: b in [2, 20].

    Raises:
        ValueError: A field is out of range.
    """

    blocks: tuple[Block, ...]
    counters: tuple[str, ...]
    weight_cap: int
    value_bits: int = 15

    def __post_init__(self) -> None:
        Law(self.value_bits)
        if not self.blocks:
            raise ValueError("a quantiser has at least one block")
        if len(self.counters) > MAX_COUNTERS or len(set(self.counters)) != len(self.counters):
            raise ValueError(f"a quantiser has at most {MAX_COUNTERS} counters with distinct names")
        if self.weight_cap < 1:
            raise ValueError(f"the weight cap is at least one example, not {self.weight_cap}")

    @property
    def law(self) -> Law:
        """The integers that follow from the number of value bits."""
        return Law(self.value_bits)

    @property
    def size(self) -> int:
        """P, the length of the update vector."""
        return sum(block.size for block in self.blocks)

    @property
    def length(self) -> int:
        """L, the length of the quantised vector: the update, the weight, the counters."""
        return self.size + 1 + len(self.counters)

    def weight_units(self, examples: int) -> int:
        """Return W in [1, top] for a client with ``examples`` examples: min(examples, cap) / cap, in units of 1 / top.

        Exact integer arithmetic, ties up.

        Raises:
            LocalProtocolError: ``examples`` is less than one.
        """
        if examples < 1:
            raise LocalProtocolError(f"a client trains on at least one example, not {examples}")
        kept = min(examples, self.weight_cap)
        return max(1, (2 * self.law.top * kept + self.weight_cap) // (2 * self.weight_cap))

    def quantise(
        self, update: npt.NDArray[np.float32], weight_units: int, counters: Sequence[int], stream: Stream
    ) -> Quantised:
        """Clip, weigh and stochastically round ``update``; append weight and counters.

        Args:
            update: ``(P,) float32``, C-contiguous.
            weight_units: W in [1, top], from :meth:`weight_units`.
            counters: One integer in [0, 2^b) for each name in :attr:`counters`.
            stream: Secret uniform bits; 16 per value of ``update`` are taken from it.

        Raises:
            InputError: The update holds NaN or an infinity; nothing may be sent.
            LocalProtocolError: An argument does not have the stated form.
        """
        values = np.empty(self.length, dtype=self.law.dtype)
        start = clipped = 0
        for chunk in self.quantise_chunks(update, weight_units, counters, stream):
            values[start : start + chunk.values.size] = chunk.values
            start += chunk.values.size
            clipped += chunk.clipped
        return Quantised(values, clipped)

    def quantise_chunks(
        self, update: npt.NDArray[np.float32], weight_units: int, counters: Sequence[int], stream: Stream
    ) -> Iterator[Quantised]:
        """Like :meth:`quantise`, a chunk of at most 32,768 values at a time, in order and in constant memory.

        Args:
            update: As for :meth:`quantise`; it may be a mapped file.
            weight_units: As for :meth:`quantise`.
            counters: As for :meth:`quantise`.
            stream: As for :meth:`quantise`.

        Returns:
            Chunks of the vector; each chunk's ``values`` are overwritten by the next one.

        Raises:
            LocalProtocolError: As for :meth:`quantise`, at once.
            InputError: As for :meth:`quantise`, from the chunk on that is broken. What was made of the chunks before must be
                thrown away.
        """
        law = self.law
        if update.dtype != np.float32 or update.shape != (self.size,) or not update.flags.c_contiguous:
            raise LocalProtocolError(f"expected a contiguous ({self.size},) float32 update")
        if not 1 <= weight_units <= law.top:
            raise LocalProtocolError(f"a weight lies in [1, {law.top}], not {weight_units}")
        if len(counters) != len(self.counters) or any(not 0 <= value < law.limit for value in counters):
            raise LocalProtocolError(f"expected {len(self.counters)} counters in [0, {law.limit})")
        plain = np.asarray(update)  # of a mapped file, its values without its class
        return self._chunks(plain, weight_units, tuple(counters), stream)

    def _chunks(
        self, update: npt.NDArray[np.float32], weight_units: int, counters: tuple[int, ...], stream: Stream
    ) -> Iterator[Quantised]:
        """Give the chunks of :meth:`quantise_chunks`, of checked arguments."""
        start = 0
        for block in self.blocks:
            end = start + block.size
            yield from _quantise_block(block, update[start:end], weight_units, self.law, stream)
            start = end
        yield Quantised(np.array([weight_units, *counters], self.law.dtype), 0)

    def dequantise(self, sums: npt.NDArray[np.int64], count: int) -> Dequantised:
        """Decode the sum of ``count`` quantised vectors.

        Per value, in this order and in float64: subtract ``count * half`` (exact, as integers), multiply by C / half,
        divide by (sum of W) / top; then round to float32.

        Args:
            sums: ``(L,) int64``.
            count: Number of vectors in the sum, in [1, MAX_CONTRIBUTIONS].

        Raises:
            LocalProtocolError: An argument does not have the stated form.
            VerificationError: No ``count`` vectors that follow the law have this sum.
        """
        weight_units = self._checked_weight(sums, count)
        zero = count * self.law.half
        divisor = weight_units / self.law.top
        mean = np.empty(self.size, dtype=np.float32)
        scratch = np.empty(min(_CHUNK, self.size), dtype=np.float64)
        start = 0
        for block in self.blocks:
            step = block.clip / self.law.half
            for low in range(start, start + block.size, _CHUNK):
                high = min(low + _CHUNK, start + block.size)
                part = scratch[: high - low]
                part[:] = sums[low:high] - zero  # |difference| < 2^30, exact in float64
                np.multiply(part, step, out=part)
                np.divide(part, divisor, out=part)
                mean[low:high] = part
            start += block.size
        return Dequantised(mean, weight_units, tuple(int(value) for value in sums[start + 1 :]))

    def next_blocks(
        self, sums: npt.NDArray[np.int64], count: int, *, floor: float, factor: float = 6.0
    ) -> tuple[Block, ...]:
        """Return the blocks of the next round: these, with clips that follow from this round's aggregate.

        Args:
            sums: ``(L,) int64``, as for :meth:`dequantise`.
            count: Number of vectors in the sum.
            floor: Smallest clip.
            factor: Clip in units of the aggregate's root mean square.

        Raises:
            LocalProtocolError: An argument does not have the stated form.
            VerificationError: No ``count`` vectors that follow the law have this sum.
        """
        weight_units = self._checked_weight(sums, count)
        zero = count * self.law.half
        blocks = []
        start = 0
        for block in self.blocks:
            deviations = (
                sums[low : min(low + _CHUNK, start + block.size)] - zero
                for low in range(start, start + block.size, _CHUNK)
            )
            clip = next_clip(deviations, weight_units, block.clip, floor=floor, factor=factor)
            blocks.append(replace(block, clip=clip))
            start += block.size
        return tuple(blocks)

    def _checked_weight(self, sums: npt.NDArray[np.int64], count: int) -> int:
        """Check that ``sums`` can be the sum of ``count`` vectors, and return the total weight in units."""
        law = self.law
        if sums.dtype != np.int64 or sums.shape != (self.length,):
            raise LocalProtocolError(f"expected ({self.length},) int64 sums")
        if not 1 <= count <= MAX_CONTRIBUTIONS:
            raise LocalProtocolError(f"a sum has 1 to {MAX_CONTRIBUTIONS} contributions, not {count}")
        values, counters = sums[: self.size], sums[self.size + 1 :]
        for part, top in ((values, law.top), (counters, law.limit - 1)):
            if part.size and not (int(part.min()) >= 0 and int(part.max()) <= count * top):
                raise VerificationError(
                    f"a sum of {count} quantised values lies in [0, {count * top}]; one does not"
                )
        weight_units = int(sums[self.size])
        if not count <= weight_units <= count * law.top:
            raise VerificationError(
                f"a sum of {count} weights lies in [{count}, {count * law.top}]; this one does not"
            )
        return weight_units


def _quantise_block(
    block: Block,
    update: npt.NDArray[np.float32],
    weight_units: int,
    law: Law,
    stream: Stream,
) -> Iterator[Quantised]:
    """Quantise one block chunk by chunk."""
    from fl_core.quantise import kernels  # numba takes long to import, and only clients need it

    round_values = kernels.round_values if law.value_bits <= 15 else kernels.round_wide_values

    scale = weight_units * 32768.0 / block.clip  # W / 2 steps up to the clip, times 2^16
    offset = law.half * 65536.0 + 0.5
    noise = np.empty(min(_CHUNK, block.size), dtype=np.uint16)
    out = np.empty(noise.size, dtype=law.dtype)
    broken = 0
    for low in range(0, block.size, _CHUNK):
        high = min(low + _CHUNK, block.size)
        stream.fill(noise[: high - low])
        values = out[: high - low]
        part = np.require(update[low:high], requirements="A")  # in a message, numbers begin anywhere
        clipped, more_broken = round_values(part, noise[: high - low], block.clip, scale, offset, values)
        broken += int(more_broken)
        if not broken:
            yield Quantised(values, int(clipped))
    if broken:
        raise InputError(
            f"the update's block {block.name!r} holds {broken} values of {block.size} that are NaN or infinite.",
            fix="Nothing was sent. Training diverged: lower the learning rate or look for broken values in the data.",
        )
