"""What anyone can do with a finished round: fold the archived ciphertexts, check the aggregate key, open the aggregate.

Step 7 of the protocol (``docs/explanation/protocol.md``). The coordinator runs it to make the next model, every auditor runs
it to recompute that model; both get the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_core.digests import Label, digest, digest_of_pieces
from fl_core.errors import VerificationError
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.setup import layout_of, quantiser_of
from fl_core.secagg import shamir
from fl_core.secagg.decrypt import NO_SUM, decrypt
from fl_core.secagg.fold import Accumulator

_PIECE, _SUM_BYTES = 1 << 15, 8
"""Sums that are turned and hashed at a time, so that they stay in the cache; bytes of one."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Aggregate:
    """The opened sum of a round.

    Attributes:
        count: Number of contributions in the sum.
        sums: The sum as integers, ``(length,) int64``.
        update: Weighted mean of the updates, ``(parameters,) float32``.
        weight_units: Sum of the clients' weights in units of 1/32766.
        counters: Sums of the counters, in the header's order.
        failed: Ring elements whose noise broke the bound; their values count as zero updates.
    """

    count: int
    sums: npt.NDArray[np.int64]
    update: npt.NDArray[np.float32]
    weight_units: int
    counters: tuple[int, ...]
    failed: tuple[int, ...]

    @property
    def digest(self) -> bytes:
        """Digest of the integer sums and their number."""
        pieces = (
            self.sums[at : at + _PIECE].astype(">i8").tobytes() for at in range(0, self.sums.size, _PIECE)
        )
        size, count = self.sums.size * _SUM_BYTES, self.count.to_bytes(4, "big")
        return digest_of_pieces(Label.AGGREGATE, count, size=size, pieces=pieces)


def fold(header: RoundHeader, ciphertexts: Iterable[bytes]) -> tuple[npt.NDArray[np.uint64], int]:
    """Add ciphertexts of one round, one at a time.

    Returns:
        The sums, ``(elements, N) uint64``, and how many there were.
    """
    accumulator = Accumulator(layout_of(header))
    for ciphertext in ciphertexts:
        accumulator.add(ciphertext)
    return accumulator.sums, accumulator.count


def key_digest(header: RoundHeader, key: npt.NDArray[np.uint64]) -> bytes:
    """Return the digest of an aggregate key that the ledger records."""
    return digest(
        Label.AGGREGATE_KEY, header.digest, shamir.encode_vector(PARAMETER_SETS[header.parameter_set], key)
    )


def open_aggregate(
    header: RoundHeader, sums: npt.NDArray[np.uint64], count: int, key: npt.NDArray[np.uint64]
) -> Aggregate:
    """Check the aggregate key on the two check elements, decrypt the sum and decode it.

    Raises:
        VerificationError: The key does not belong to these ciphertexts, or the weights cannot be read.
    """
    opened = decrypt(layout_of(header), header.digest, sums, count, key)
    quantiser, values = quantiser_of(header), opened.values
    if (values[header.parameters :] == NO_SUM).any():
        raise VerificationError(
            "the ring element that carries the weights is garbled: the round has no aggregate"
        )
    values[values == NO_SUM] = count * quantiser.law.half
    decoded = quantiser.dequantise(values, count)
    return Aggregate(
        count=count,
        sums=values,
        update=decoded.mean,
        weight_units=decoded.weight_units,
        counters=decoded.counters,
        failed=opened.failed_elements,
    )
