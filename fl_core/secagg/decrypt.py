"""Opening the sum: anybody who knows the aggregate key S can do it, and everybody gets the same integers.

With C_j = 2^d * (sum of the wire coefficients), d the dropped bits::

    C_j - a_j*S mod q = Delta * (sum of m_j) + noise        for the payload
    C_j - a_j*S mod q = noise                               for the two check elements

The noise is the sum of all errors and roundings (:mod:`fl_core.secagg.noise`). The check elements make S unique: if S and
S' both passed, S - S' would be short/a_0 and short/a_1 at once, and for uniform a_0, a_1 no such element exists except
with negligible probability (:func:`~fl_core.secagg.noise.key_noise_bound`). How much noise is in them is not looked at
any closer: a party could make it large enough to be refused and small enough to pass the share check, and no value that
anybody uses is in them.

A ring element is *failed* if its noise or a slot exceeds what ``count`` honest parties can cause; somebody's ciphertext
was not well-formed there. Its values are reported as :data:`NO_SUM`, which is no sum. What to do with a failed element is
the protocol's business; **never open a second sum of the same round**.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.secagg import kernels
from fl_core.secagg.layout import CHECK_ELEMENTS, Layout
from fl_core.secagg.noise import key_noise_bound, noise_bound
from fl_core.secagg.public_elements import PublicElements, block_elements
from fl_core.secagg.threads import spread

Words = npt.NDArray[np.uint64]

NO_SUM = -1
"""Stands for every value of a failed ring element."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decrypted:
    """An opened sum.

    Attributes:
        values: (L,) int64, values in [0, count * (2^value_bits - 1)], or :data:`NO_SUM` in failed ring elements.
        failed_elements: Ring elements (counted from the first check element) that are not what honest parties give.
        max_noise: The largest |noise| in the ring elements that did not fail.
    """

    values: npt.NDArray[np.int64]
    failed_elements: tuple[int, ...]
    max_noise: int

    def __repr__(self) -> str:
        return (
            f"Decrypted({len(self.values)} values, failed={self.failed_elements}, max_noise={self.max_noise})"
        )


def verify_aggregate_key(layout: Layout, header_digest: bytes, sums: Words, count: int, key: Words) -> None:
    """Check that ``key`` is the sum of exactly the secrets that ``sums`` is under.

    Args:
        layout: The shape of the round's ciphertexts.
        header_digest: 32 bytes; fixes the public elements.
        sums: (elements, N) uint64 of :class:`~fl_core.secagg.fold.Accumulator`.
        count: How many ciphertexts were added, in [1, max_parties].
        key: S, (N,) uint64, transform domain, values in [0, q).

    Raises:
        VerificationError: A coefficient of a check element is larger than :func:`~fl_core.secagg.noise.key_noise_bound`,
            which is far more than honest parties cause, and little enough for S to be the only key that passes.
        LocalProtocolError: The arguments do not have the stated shapes and ranges.
    """
    _check_arguments(layout, sums, count, key)
    _verify_checks(layout, sums, PublicElements(layout.params, header_digest, key))


def verify_rows(layout: Layout, header_digest: bytes, check_sums: Words, key: Words) -> None:
    """Like :func:`verify_aggregate_key`, from the sums of the check elements alone, (2, N) uint64."""
    shape = (CHECK_ELEMENTS, layout.params.degree)
    if check_sums.shape != shape or check_sums.dtype != np.uint64 or not check_sums.flags.c_contiguous:
        raise LocalProtocolError(f"the sums of the check elements are a {shape} matrix of uint64")
    _verify_checks(layout, check_sums, PublicElements(layout.params, header_digest, key))


def decrypt(
    layout: Layout, header_digest: bytes, sums: Words, count: int, key: Words, threads: int = 1
) -> Decrypted:
    """Verify ``key`` and open ``sums``.

    Args:
        layout: As for :func:`verify_aggregate_key`.
        header_digest: As for :func:`verify_aggregate_key`.
        sums: As for :func:`verify_aggregate_key`.
        count: As for :func:`verify_aggregate_key`.
        key: As for :func:`verify_aggregate_key`.
        threads: How many threads share the work; the result is the same for every number.

    Returns:
        The sums of the values, and which ring elements failed. The caller owes a look at ``failed_elements``.

    Raises:
        VerificationError: The key is not that of these sums, see :func:`verify_aggregate_key`.
        LocalProtocolError: The arguments do not have the stated shapes and ranges.
    """
    verify_aggregate_key(layout, header_digest, sums, count, key)
    values = np.empty(layout.length, np.int64)

    def run(first: int, end: int) -> tuple[list[int], int]:
        public = PublicElements(layout.params, header_digest, key, CHECK_ELEMENTS + first)
        start, failed, largest = first * layout.values_per_element, list[int](), 0
        for block in _open_blocks(layout, sums, count, public, first, end):
            values[start : start + len(block.values)] = block.values
            start += len(block.values)
            failed.extend(block.failed_elements)
            largest = max(largest, block.max_noise)
        return failed, largest

    runs = spread(run, layout.payload_elements, threads)
    return Decrypted(
        values=values,
        failed_elements=tuple(element for failed, _ in runs for element in failed),
        max_noise=max(largest for _, largest in runs),
    )


def decrypt_blocks(
    layout: Layout, header_digest: bytes, sums: Words, count: int, key: Words
) -> Iterator[Decrypted]:
    """Like :func:`decrypt`, a block of ring elements at a time; the arrays are reused, so copy what is to be kept."""
    _check_arguments(layout, sums, count, key)
    public = PublicElements(layout.params, header_digest, key)
    _verify_checks(layout, sums, public)
    yield from _open_blocks(layout, sums, count, public, 0, layout.payload_elements)


def _open_blocks(
    layout: Layout, sums: Words, count: int, public: PublicElements, begin: int, end: int
) -> Iterator[Decrypted]:
    """Open payload elements [begin, end); ``public`` is at the first of them."""
    params, packing = layout.params, layout.packing
    bound, max_sum = noise_bound(packing, count), count * packing.max_value
    step = block_elements(params)
    slots = np.empty((step, packing.slots, params.degree), np.int64)
    noise, largest = np.empty(step, np.uint64), np.empty(step, np.uint64)
    remaining = layout.length - begin * layout.values_per_element
    for first in range(CHECK_ELEMENTS + begin, CHECK_ELEMENTS + end, step):
        rows = sums[first : min(first + step, CHECK_ELEMENTS + end)]
        n = len(rows)
        kernels.decode(
            _residues(layout, rows, public),
            np.uint64(packing.delta_bits),
            np.uint64(packing.slot_bits),
            np.uint64(params.modulus),
            slots[:n],
            noise[:n],
            largest[:n],
        )
        bad = (noise[:n] > bound) | (largest[:n] > max_sum)
        slots[:n][bad] = NO_SUM
        yield Decrypted(
            values=slots[:n].reshape(-1)[:remaining],
            failed_elements=tuple(first + int(j) for j in np.flatnonzero(bad)),
            max_noise=int(noise[:n][~bad].max(initial=0)),
        )
        remaining -= n * layout.values_per_element


def _verify_checks(layout: Layout, sums: Words, public: PublicElements) -> None:
    """The check of :func:`verify_aggregate_key`; takes the check elements from ``public``."""
    q = layout.params.modulus
    noise = _residues(layout, sums[:CHECK_ELEMENTS], public).astype(np.int64)  # in [0, q), q < 2^63
    noise[noise > q // 2] -= q
    if int(np.abs(noise).max()) > key_noise_bound(layout.params):
        raise VerificationError("the aggregate key does not open the check elements")


def _residues(layout: Layout, rows: Words, public: PublicElements) -> Words:
    """Return 2^d * rows - a*S mod q for the next ``len(rows)`` public elements."""
    q, scale = layout.params.modulus, 1 << layout.packing.dropped_bits
    out = public.next_products(len(rows))
    kernels.residues(rows, out, np.uint64(scale), np.uint64((scale << 64) // q), np.uint64(q))
    return out


def _check_arguments(layout: Layout, sums: Words, count: int, key: Words) -> None:
    degree = layout.params.degree
    if not 1 <= count <= layout.packing.max_parties:
        raise LocalProtocolError(
            f"{layout.packing.name} opens sums of 1 to {layout.packing.max_parties}, not {count}"
        )
    if sums.shape != (layout.elements, degree) or sums.dtype != np.uint64 or not sums.flags.c_contiguous:
        raise LocalProtocolError(f"the sums are a ({layout.elements}, {degree}) matrix of uint64")
    if key.shape != (degree,) or key.dtype != np.uint64 or not key.flags.c_contiguous:
        raise LocalProtocolError(f"an aggregate key of {layout.params.name} is a vector of {degree} uint64")
    if int(key.max()) >= layout.params.modulus:
        raise LocalProtocolError("an aggregate key has residues below the modulus")
