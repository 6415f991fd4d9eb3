"""However many threads share the work, the bytes are the same."""

from __future__ import annotations

import numpy as np
import pytest

from fl_core.digests import Label
from fl_core.errors import DecodeError, LocalProtocolError, VerificationError
from fl_core.lattice.parameters import P2048, PACK15, PACKINGS, P4096g
from fl_core.randomness import Stream
from fl_core.secagg.commitment import ciphertext_root
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.encrypt import encrypt, encrypt_into
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.public_elements import PublicElements
from fl_core.secagg.threads import MAX_THREADS, spread
from fl_core.secret import Secret
from tests.unit.fl_core.secagg.parties import HEADER, encrypted, known, layout_of, summed, values_of

SEED = Secret(known("seed"))
LAYOUTS = [
    layout_of(1, P2048, PACK15),
    layout_of(21 * 4096 + 5, P2048, PACK15),
    layout_of(9 * 4096 + 5, P2048, PACKINGS["PACK20x64"]),
    layout_of(9 * 8192, P4096g, PACKINGS["PACK20x16g"]),
]
EACH = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda c: f"{c.packing.name}-{c.elements}")
THREADS = pytest.mark.parametrize("threads", [2, 3, 7, MAX_THREADS])


@EACH
@THREADS
def test_a_ciphertext_and_its_root_do_not_depend_on_the_number_of_threads(layout, threads):
    values, out = values_of(layout, 0), np.empty(layout.ciphertext_bytes, np.uint8)
    expected, expected_secret = encrypt(layout, HEADER, values, SEED)
    secret = encrypt_into(layout, HEADER, values, SEED, out, threads)
    assert out.tobytes() == expected.tobytes()
    assert np.array_equal(secret.reveal(), expected_secret.reveal())
    assert ciphertext_root(layout, out, threads) == ciphertext_root(layout, expected)


@EACH
@THREADS
def test_a_sum_and_what_it_opens_to_do_not_depend_on_the_number_of_threads(layout, threads):
    accumulator, key, total = summed(layout, range(3))
    other = Accumulator(layout)
    for who in range(3):
        other.add(encrypted(layout, who)[0], threads)
    assert np.array_equal(other.sums, accumulator.sums)
    opened = decrypt(layout, HEADER, other.sums, 3, key, threads)
    assert np.array_equal(opened.values, total)
    assert opened.max_noise == decrypt(layout, HEADER, other.sums, 3, key).max_noise


def test_failed_elements_are_in_order_and_errors_are_the_same_with_threads():
    layout = LAYOUTS[1]
    accumulator, key, _ = summed(layout, range(3))
    sums = accumulator.sums.copy()
    for element in (3, 11, 22):
        sums[element, 5] += np.uint64(24)
    single, double = (decrypt(layout, HEADER, sums, 3, key, threads) for threads in (1, 2))
    assert double.failed_elements == single.failed_elements == (3, 11, 22)
    assert np.array_equal(double.values, single.values)
    with pytest.raises(VerificationError):
        decrypt(layout, known("another header"), sums, 3, key, 2)
    before = accumulator.sums.copy()
    with pytest.raises(DecodeError):
        accumulator.add(bytes([255]) * layout.ciphertext_bytes, 2)
    assert np.array_equal(accumulator.sums, before)
    values = values_of(layout, 0)
    values[-1] = 1 << 15
    with pytest.raises(LocalProtocolError, match="below 2"):
        encrypt_into(layout, HEADER, values, SEED, np.empty(layout.ciphertext_bytes, np.uint8), 2)


@pytest.mark.parametrize("threads", [0, -1, MAX_THREADS + 1])
def test_a_number_of_threads_out_of_range_is_refused(threads):
    with pytest.raises(LocalProtocolError, match="threads"):
        spread(lambda first, end: None, 3, threads)


@pytest.mark.parametrize("count", [1, 2, 5, 64, 1000])
@THREADS
def test_the_runs_cover_everything_once_and_in_order(count, threads):
    runs = spread(lambda first, end: list(range(first, end)), count, threads)
    assert [element for run in runs for element in run] == list(range(count))
    assert len(runs) == min(count, threads)


def test_public_elements_can_be_entered_anywhere():
    one = np.ones(2048, np.uint64)
    whole = PublicElements(P2048, HEADER, one).next_products(5)
    for first in range(5):
        assert np.array_equal(PublicElements(P2048, HEADER, one, first).next_products(1)[0], whole[first])


@pytest.mark.parametrize("position", [0, 16, 160, (1 << 20) + 16])
def test_a_stream_entered_later_gives_the_same_bytes(position):
    whole = np.empty(position + 100, np.uint8)
    Stream(known("seed"), Label.ERRORS).fill(whole)
    rest = np.empty(100, np.uint8)
    Stream(known("seed"), Label.ERRORS, position).fill(rest)
    assert np.array_equal(rest, whole[position:])


@pytest.mark.parametrize("position", [1, 8, -16, 1 << 64])
def test_a_stream_is_entered_between_blocks(position):
    with pytest.raises(LocalProtocolError, match="multiple of 16"):
        Stream(known("seed"), Label.ERRORS, position)
