"""The accumulator adds and subtracts exactly, and refuses what no encryption gives."""

from __future__ import annotations

import numpy as np
import pytest

from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.secagg import fold
from fl_core.secagg.fold import Accumulator
from tests.unit.fl_core.secagg.parties import encrypted, layout_of
from tests.vectors.secagg import verify

LAYOUT = layout_of(17)


def wire(layout, value: int, at: int = 0) -> bytes:
    """A ciphertext of zeros with one coefficient set."""
    degree = layout.params.degree
    elements = [[0] * degree for _ in range(layout.elements)]
    elements[-1][at] = value
    return b"".join(map(verify.wire_bytes, elements))


def test_the_sum_is_that_of_the_wire_coefficients():
    ciphertexts = [encrypted(LAYOUT, who)[0] for who in range(3)]
    accumulator = Accumulator(LAYOUT)
    expected = np.zeros((LAYOUT.elements, LAYOUT.params.degree), np.uint64)
    for ciphertext in ciphertexts:
        accumulator.add(ciphertext)
        for total, row in zip(expected, LAYOUT.rows(ciphertext), strict=True):
            low, high = row[: 4 * 2048].tobytes(), row[4 * 2048 :].tobytes()
            total += np.frombuffer(low, "<u4").astype(np.uint64) + (
                np.frombuffer(high, "<u2").astype(np.uint64) << 32
            )
    assert accumulator.count == 3
    assert np.array_equal(accumulator.sums, expected)


def test_subtract_undoes_add():
    first, second = (encrypted(LAYOUT, who)[0] for who in range(2))
    accumulator = Accumulator(LAYOUT)
    accumulator.add(first)
    before = accumulator.sums.copy()
    accumulator.add(second)
    assert not np.array_equal(accumulator.sums, before)
    accumulator.subtract(second)
    assert np.array_equal(accumulator.sums, before)
    assert accumulator.count == 1


def test_any_buffer_folds_alike_aligned_or_not():
    ciphertext = encrypted(layout_of(70_000), 0)[0]
    reference = Accumulator(layout_of(70_000))
    reference.add(ciphertext)
    shifted = bytearray(1) + bytearray(ciphertext.tobytes())
    for form in (
        ciphertext.tobytes(),
        bytearray(ciphertext),
        memoryview(shifted)[1:],
        ciphertext.reshape(2, -1),
    ):
        accumulator = Accumulator(layout_of(70_000))
        accumulator.add(form)
        assert np.array_equal(accumulator.sums, reference.sums)
        accumulator.subtract(form)
        assert not accumulator.sums.any()


@pytest.mark.parametrize("elements", range(3, 12))
def test_every_row_is_added_once_however_many_there_are(elements):
    """Rows are added a few at a time; the last few may be fewer."""
    layout = layout_of(4096 * (elements - 2))
    assert layout.elements == elements
    rows = np.arange(elements, dtype=np.uint64)[:, None] * 5_000_000_000 + np.arange(2048, dtype=np.uint64)
    accumulator = Accumulator(layout)
    for _ in range(3):
        accumulator.add(b"".join(verify.wire_bytes(row.tolist()) for row in rows))
    assert np.array_equal(accumulator.sums, 3 * rows)


@pytest.mark.parametrize("at", [0, 1, 2047])
def test_a_coefficient_above_the_largest_canonical_one_is_refused_and_changes_nothing(at):
    accumulator = Accumulator(LAYOUT)
    accumulator.add(encrypted(LAYOUT, 0)[0])
    before = accumulator.sums.copy()
    accumulator.add(wire(LAYOUT, LAYOUT.max_wire, at))
    accumulator.subtract(wire(LAYOUT, LAYOUT.max_wire, at))
    for value in (LAYOUT.max_wire + 1, 2**48 - 1):
        with pytest.raises(DecodeError, match="at most"):
            accumulator.add(wire(LAYOUT, value, at))
    assert np.array_equal(accumulator.sums, before)
    assert accumulator.count == 1


@pytest.mark.parametrize("off", [-1, 1])
def test_a_ciphertext_of_another_size_changes_nothing(off):
    accumulator = Accumulator(LAYOUT)
    accumulator.add(encrypted(LAYOUT, 0)[0])
    before = accumulator.sums.copy()
    for operation in (accumulator.add, accumulator.subtract):
        with pytest.raises(DecodeError):
            operation(bytes(LAYOUT.ciphertext_bytes + off))
    assert np.array_equal(accumulator.sums, before)
    assert accumulator.count == 1


def test_an_accumulator_takes_as_many_as_cannot_overflow_and_no_more():
    degree, limit = LAYOUT.params.degree, LAYOUT.max_wire
    largest = verify.wire_bytes([limit] * degree) * LAYOUT.elements
    accumulator = Accumulator(LAYOUT)
    for _ in range(fold.MAX_COUNT):
        accumulator.add(largest)
    assert (accumulator.sums == fold.MAX_COUNT * limit).all()
    assert fold.MAX_COUNT * limit < 2**64
    with pytest.raises(LocalProtocolError, match="takes 65536"):
        accumulator.add(largest)
    assert (accumulator.sums == fold.MAX_COUNT * limit).all()


def test_nothing_is_taken_out_of_an_empty_accumulator():
    with pytest.raises(LocalProtocolError, match="nothing"):
        Accumulator(LAYOUT).subtract(wire(LAYOUT, 1))


def test_the_sums_cannot_be_written_through():
    with pytest.raises(ValueError, match="read-only"):
        Accumulator(LAYOUT).sums[0, 0] = 1
