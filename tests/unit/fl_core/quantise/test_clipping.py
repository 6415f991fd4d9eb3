"""The clip of the next round."""

import math
from decimal import Context, Decimal

import numpy as np
import pytest

from fl_core.quantise import Block, Quantiser, next_clip
from fl_core.quantise.clipping import GROWTH

TOP = 32766


def deviations(*values):
    return [np.array(values, dtype=np.int64)]


def test_the_clip_is_factor_times_the_root_mean_square_of_the_aggregate():
    # mean update = 2 * C * d / W = +-0.1 * 2 * 1000 / 4000 = +-0.05
    clip = next_clip(deviations(1000, -1000), 4000, 0.1, floor=1e-6, factor=3.0)
    assert clip == pytest.approx(0.15)


def test_it_agrees_with_fifty_digit_arithmetic():
    exactly = Context(
        prec=50
    )  # its own: other tests load a compiler that guards the precision of the thread's context
    values = [(i * 7919) % 60001 - 30000 for i in range(10_000)]
    got = next_clip(deviations(*values), 99_999, 0.125, floor=1e-9, factor=2.0)
    squares = exactly.divide(Decimal(sum(v * v for v in values)), Decimal(len(values)))
    exact = exactly.divide(exactly.multiply(Decimal("0.5"), exactly.sqrt(squares)), Decimal(99_999))
    assert abs(exactly.subtract(exactly.divide(Decimal(got), exact), Decimal(1))) < Decimal(2) ** -50


def test_how_the_block_is_cut_into_pieces_does_not_change_a_bit():
    values = np.arange(-50_000, 50_000, dtype=np.int64)
    whole = next_clip([values], TOP, 0.3, floor=1e-9)
    assert whole == next_clip(np.array_split(values, 77), TOP, 0.3, floor=1e-9)
    assert whole == next_clip([values[::-1]], TOP, 0.3, floor=1e-9)


def test_the_largest_deviations_do_not_overflow():
    piece = np.full(1 << 16, (1 << 25) - 1, dtype=np.int64)
    assert next_clip([piece], 2 * ((1 << 25) - 1), 1.0, floor=1e-9, factor=1.0) == 1.0


def test_one_round_never_grows_the_clip_beyond_the_bound():
    assert next_clip(deviations(TOP), 2 * TOP, 1.0, floor=1e-9, factor=100.0) == GROWTH


def test_one_round_never_shrinks_the_clip_beyond_the_bound():
    assert next_clip(deviations(0, 0), TOP, 1.0, floor=1e-9) == 1 / GROWTH


def test_the_clip_never_falls_below_the_floor():
    assert next_clip(deviations(0, 0), TOP, 1.0, floor=0.5) == 0.5


def test_every_block_gets_its_own_clip_and_keeps_name_and_size():
    one = Quantiser((Block("a", 2, 1.0), Block("b", 40_000, 0.1)), ("n",), 10)
    sums = np.full(one.length, one.law.half * 2, dtype=np.int64)
    sums[:2] += 4000
    sums[2:40_002] -= 3000
    sums[40_002:] = 2 * TOP, 5
    a, b = one.next_blocks(sums, 2, floor=1e-6)
    assert (a.name, a.size, b.name, b.size) == ("a", 2, "b", 40_000)
    assert a.clip == pytest.approx(6 * 2 * 1.0 * 4000 / (2 * TOP))
    assert b.clip == pytest.approx(6 * 2 * 0.1 * 3000 / (2 * TOP))


def test_the_clip_is_computed_from_what_everybody_decodes():
    """The formula over integers is the root mean square of the decoded mean update."""
    one = Quantiser((Block("w", 5000, 0.7),), (), 10)
    sums = (np.arange(5001, dtype=np.int64) * 37) % 3000 + 3 * one.law.half - 1500
    sums[-1] = 70_000
    mean = one.dequantise(sums, 3).mean.astype(np.float64)
    (block,) = one.next_blocks(sums, 3, floor=1e-6, factor=20.0)
    assert block.clip == pytest.approx(20 * math.sqrt(np.mean(mean**2)), rel=1e-6)
