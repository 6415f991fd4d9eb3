"""Quantising one update and decoding a sum."""

from fractions import Fraction

import numpy as np
import pytest

from fl_core.digests import Label
from fl_core.errors import InputError, LocalProtocolError, VerificationError
from fl_core.quantise import MAX_CONTRIBUTIONS, Block, Law, Quantiser
from fl_core.quantise.kernels import round_values, round_wide_values
from fl_core.randomness import Stream

TOP, HALF = 32766, 16383


def stream(n=0):
    return Stream(n.to_bytes(32, "big"), Label.ROUNDING)


def quantiser(*blocks, counters=(), cap=100, bits=15):
    return Quantiser(blocks or (Block("w", 4, 1.0),), tuple(counters), cap, bits)


def vector(*values):
    return np.array(values, dtype=np.float32)


# ---------------------------------------------------------------- the law


def test_zero_maps_to_exactly_half():
    one = quantiser(Block("w", 1000, 0.3))
    for weight in (1, 7, TOP):
        assert set(one.quantise(np.zeros(1000, np.float32), weight, (), stream()).values[:-1]) == {HALF}


def test_the_ends_of_the_clip_map_to_the_ends_of_the_range_at_full_weight():
    one = quantiser(Block("w", 2, 0.3))
    clip = np.float32(0.3)  # a little above 0.3 as float64, so both values are clamped
    assert one.quantise(vector(-clip, clip), TOP, (), stream()).values.tolist() == [0, TOP, TOP]


def test_values_beyond_the_clip_are_clamped_and_counted():
    values, clipped = quantiser().quantise(vector(-5, -1, 1, 1.5), TOP, (), stream())
    assert values.tolist() == [0, 0, TOP, TOP, TOP]
    assert clipped == 2


def test_every_value_is_one_of_the_two_integers_around_its_target():
    update = (np.arange(-2000, 2001) / 1999).astype(np.float32)
    weight, clip = 20_001, 0.9
    values = quantiser(Block("w", update.size, clip)).quantise(update, weight, (), stream()).values
    for x, v in zip(update.tolist(), values.tolist(), strict=False):
        kept = max(-Fraction(clip), min(Fraction(clip), Fraction(x)))
        target = kept / Fraction(clip) * Fraction(weight, TOP) * HALF + HALF
        assert abs(v - target) < 1 + Fraction(1, 1 << 17)


def test_rounding_follows_the_16_bits_of_the_stream():
    """An independent reading of the law, in exact fractions, with the same keystream."""
    update = (np.arange(-40_000, 40_000) / 50_000).astype(np.float32)  # more than two chunks
    weight, clip = 12_345, 0.77
    noise = np.empty(update.size, dtype="<u2")
    stream(3).fill(noise)
    values = quantiser(Block("w", update.size, clip)).quantise(update, weight, (), stream(3)).values
    for i in range(0, update.size, 97):
        kept = max(-Fraction(clip), min(Fraction(clip), Fraction(float(update[i]))))
        grid = round((kept / Fraction(clip) * weight / 2 + HALF) * 65536)
        assert int(values[i]) == (grid + int(noise[i])) >> 16


def test_blocks_have_their_own_clips_and_share_one_stream():
    update = vector(*[0.1] * 6)
    joined = quantiser(Block("a", 2, 0.1), Block("b", 4, 0.2)).quantise(update, 101, (), stream()).values
    whole_a = quantiser(Block("a", 6, 0.1)).quantise(update, 101, (), stream()).values
    whole_b = quantiser(Block("b", 6, 0.2)).quantise(update, 101, (), stream()).values
    assert joined[:2].tolist() == whole_a[:2].tolist()
    assert joined[2:6].tolist() == whole_b[2:6].tolist()


def test_rounding_is_unbiased():
    n = 200_000
    update = np.full(n, 0.123456, dtype=np.float32)
    values = quantiser(Block("w", n, 1.0)).quantise(update, 9_999, (), stream()).values[:-1]
    target = float(update[0]) * 9_999 / 2 + HALF
    assert abs(values.mean() - target) < 5 * 0.5 / n**0.5  # five standard deviations


def test_weight_and_counters_follow_the_values_exactly():
    one = quantiser(Block("w", 1, 1.0), counters=("correct", "examples"))
    assert one.length == 4
    assert one.quantise(vector(0), 77, (0, 32767), stream()).values.tolist() == [HALF, 77, 0, 32767]


def test_the_compiled_kernel_does_what_its_source_says():
    """Catches a compiler that fuses or reorders: the uncompiled function rounds every operation."""
    values = (np.arange(-3000, 3000, dtype=np.float32) ** 3 * np.float32(1e-9)).astype(np.float32)
    noise = np.empty(values.size, dtype=np.uint16)
    stream().fill(noise)
    outs = [np.empty(values.size, np.uint16) for _ in range(2)]
    arguments = (values, noise, 0.0123, 32766 * 32768 / 0.0123, HALF * 65536 + 0.5)
    assert round_values(*arguments, outs[0]) == round_values.py_func(*arguments, outs[1])
    assert np.array_equal(*outs)


def test_an_update_that_begins_anywhere_in_a_message_is_quantised_alike():
    update = vector(*np.linspace(-1, 1, 1000))
    one = quantiser(Block("w", update.size, 0.5))
    expected = one.quantise(update, 9, (), stream()).values
    odd = np.frombuffer(memoryview(b"x" + update.tobytes())[1:], dtype="<f4")
    assert not odd.flags.aligned
    assert one.quantise(odd, 9, (), stream()).values.tobytes() == expected.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_is_refused_and_the_block_is_named(bad):
    one = quantiser(Block("good", 2, 1.0), Block("bad", 2, 1.0))
    with pytest.raises(InputError, match="block 'bad' holds 1 values of 2") as caught:
        one.quantise(vector(0, 0, 0, bad), 1, (), stream())
    assert caught.value.fix


@pytest.mark.parametrize(
    ("update", "weight", "counters"),
    [
        pytest.param(np.zeros(3, np.float32), 1, (0,), id="too short"),
        pytest.param(np.zeros(5, np.float32), 1, (0,), id="too long"),
        pytest.param(np.zeros((4, 1), np.float32), 1, (0,), id="not a vector"),
        pytest.param(np.zeros(4), 1, (0,), id="float64"),
        pytest.param(np.zeros(8, np.float32)[::2], 1, (0,), id="strided"),
        pytest.param(np.zeros(4, np.float32), 0, (0,), id="weight zero"),
        pytest.param(np.zeros(4, np.float32), TOP + 1, (0,), id="weight above one"),
        pytest.param(np.zeros(4, np.float32), 1, (), id="counter missing"),
        pytest.param(np.zeros(4, np.float32), 1, (0, 0), id="counter too many"),
        pytest.param(np.zeros(4, np.float32), 1, (-1,), id="negative counter"),
        pytest.param(np.zeros(4, np.float32), 1, (32768,), id="counter too large"),
    ],
)
def test_arguments_of_another_form_are_refused(update, weight, counters):
    one = quantiser(counters=("correct",))
    one.quantise(np.zeros(4, np.float32), 1, (0,), stream())
    with pytest.raises(LocalProtocolError):
        one.quantise(update, weight, counters, stream())


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize(("examples", "units"), [(100, TOP), (101, TOP), (10**9, TOP), (50, HALF), (1, 328)])
def test_the_weight_is_the_share_of_the_cap(examples, units):
    assert quantiser(cap=100).weight_units(examples) == units


def test_the_weight_is_never_zero():
    assert quantiser(cap=10**9).weight_units(1) == 1


def test_a_client_without_examples_has_no_weight():
    with pytest.raises(LocalProtocolError):
        quantiser().weight_units(0)


# ---------------------------------------------------------------- decoding


def decode_by_hand(sums, count, clips, top=TOP):
    """The law with Python's floats, one operation at a time."""
    half, divisor = top // 2, int(sums[len(clips)]) / top
    return [
        np.float32(float(int(s) - count * half) * (c / half) / divisor)
        for s, c in zip(sums, clips, strict=False)
    ]


def test_decoding_is_bit_for_bit_the_stated_sequence_of_operations():
    rng = stream(9)
    raw = np.empty(3001, dtype=np.uint16)
    rng.fill(raw)
    one = quantiser(Block("a", 1000, 0.1), Block("b", 2000, 3e-5))
    sums = raw.astype(np.int64) * 2  # below 5 * TOP
    sums[3000] = 98_765
    mean, units, _ = one.dequantise(sums, 5)
    assert mean.tobytes() == np.array(decode_by_hand(sums, 5, [0.1] * 1000 + [3e-5] * 2000)).tobytes()
    assert units == 98_765


def test_the_decoded_mean_is_the_weighted_mean_of_the_updates_within_the_bound():
    one = quantiser(Block("w", 500, 0.25), counters=("correct",), cap=199)
    examples = [199, 172, 30, 85]
    updates = [(np.arange(500) % (7 + i) - 3).astype(np.float32) / 13 for i in range(4)]
    total = np.zeros(one.length, np.int64)
    for i, (update, n) in enumerate(zip(updates, examples, strict=True)):
        total += one.quantise(update, one.weight_units(n), (i,), stream(i)).values
    mean, units, counters = one.dequantise(total, 4)
    exact = (
        sum(n * u.astype(np.float64).clip(-0.25, 0.25) for n, u in zip(examples, updates, strict=True)) / 486
    )
    assert np.abs(mean - exact).max() <= 3 * 0.25 * 4 / units + 2.0**-22  # propositions 1 and 2
    assert counters == (0 + 1 + 2 + 3,)


def test_fewer_value_bits_obey_the_same_law():
    one = quantiser(Block("w", 3, 1.0), bits=8, cap=10)
    assert (one.law.top, one.law.half, one.weight_units(10)) == (254, 127, 254)
    values = one.quantise(vector(-1, 0, 1), 254, (), stream()).values
    assert values.tolist() == [0, 127, 254, 254]
    assert one.dequantise(values.astype(np.int64), 1).mean.tolist() == [-1, 0, 1]


def test_the_largest_possible_sum_of_64_contributions_fits_a_slot_of_21_bits():
    assert 64 * (Law().limit - 1) < 1 << 21


def sums_of(*values, dtype=np.int64):
    return np.array(values, dtype=dtype)


@pytest.mark.parametrize(
    ("sums", "count", "error"),
    [
        pytest.param(sums_of(0, 2 * TOP + 1, 5, 0), 2, VerificationError, id="value above the range"),
        pytest.param(sums_of(0, -1, 5, 0), 2, VerificationError, id="value below the range"),
        pytest.param(sums_of(0, 0, 1, 0), 2, VerificationError, id="weights too small"),
        pytest.param(sums_of(0, 0, 2 * TOP + 1, 0), 2, VerificationError, id="weights too large"),
        pytest.param(sums_of(0, 0, 5, 2 * 32767 + 1), 2, VerificationError, id="counter above the range"),
        pytest.param(sums_of(0, 0, 5, -1), 2, VerificationError, id="counter below the range"),
        pytest.param(sums_of(0, 0, 5, 0), 0, LocalProtocolError, id="nobody"),
        pytest.param(sums_of(0, 0, 5, 0), MAX_CONTRIBUTIONS + 1, LocalProtocolError, id="too many"),
        pytest.param(sums_of(0, 0, 5), 2, LocalProtocolError, id="too short"),
        pytest.param(sums_of(0, 0, 5, 0, dtype=np.int32), 2, LocalProtocolError, id="int32"),
    ],
)
def test_sums_that_no_lawful_vectors_have_are_refused(sums, count, error):
    one = quantiser(Block("w", 2, 1.0), counters=("correct",))
    one.dequantise(sums_of(0, 2 * TOP, 2, 2 * 32767), 2)
    with pytest.raises(error):
        one.dequantise(sums, count)


# ---------------------------------------------------------------- construction


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: Block("", 1, 1.0), id="no name"),
        pytest.param(lambda: Block("w", 0, 1.0), id="empty block"),
        pytest.param(lambda: Block("w", 1, 0.0), id="clip zero"),
        pytest.param(lambda: Block("w", 1, float("nan")), id="clip NaN"),
        pytest.param(lambda: Block("w", 1, 1e30), id="clip too large"),
        pytest.param(lambda: Law(1), id="too few bits"),
        pytest.param(lambda: Law(21), id="too many bits"),
        pytest.param(lambda: Quantiser((), (), 1), id="no block"),
        pytest.param(lambda: Quantiser((Block("w", 1, 1.0),), (), 0), id="no cap"),
        pytest.param(lambda: Quantiser((Block("w", 1, 1.0),), ("a", "a"), 1), id="counter twice"),
        pytest.param(lambda: Quantiser((Block("w", 1, 1.0),), (), 1, 21), id="twenty-one bits"),
    ],
)
def test_values_out_of_range_cannot_be_constructed(build):
    with pytest.raises(ValueError, match=r".+"):
        build()


# ---------------------------------------------------------------- wide values


@pytest.mark.parametrize("bits", [16, 17, 20])
def test_wide_values_follow_the_same_law_and_the_same_stream(bits):
    update = (np.arange(-40_000, 40_000) / 50_000).astype(np.float32)
    one = quantiser(Block("w", update.size, 0.77), bits=bits)
    weight, half = one.law.top - 3, one.law.half
    noise = np.empty(update.size, dtype="<u2")
    stream(3).fill(noise)
    values = one.quantise(update, weight, (), stream(3)).values
    assert values.dtype == (np.uint16 if bits == 16 else np.uint32)
    for i in range(0, update.size, 97):
        kept = max(-Fraction(0.77), min(Fraction(0.77), Fraction(float(update[i]))))
        grid = round((kept / Fraction(0.77) * weight / 2 + half) * 65536)
        assert int(values[i]) in {
            (grid + off + int(noise[i])) >> 16 for off in (-1, 0, 1)
        }  # float64 has 53 bits


def test_the_wide_loop_gives_the_values_of_the_narrow_one():
    values = (np.arange(-3000, 3000, dtype=np.float32) ** 3 * np.float32(1e-9)).astype(np.float32)
    noise = np.empty(values.size, dtype=np.uint16)
    stream().fill(noise)
    outs = [np.empty(values.size, dtype) for dtype in (np.uint16, np.uint16, np.uint32, np.uint32)]
    arguments = (values, noise, 0.0123, 32766 * 32768 / 0.0123, HALF * 65536 + 0.5)
    loops = (round_values, round_wide_values, round_wide_values, round_wide_values.py_func)
    counts = [loop(*arguments, out) for loop, out in zip(loops, outs, strict=True)]
    assert len(set(counts)) == 1
    assert all(np.array_equal(out, outs[0]) for out in outs)


def test_the_largest_sum_of_a_thousand_wide_values_decodes_and_sets_the_clip():
    one = quantiser(Block("w", 4, 0.5), bits=20)
    top = one.law.top
    sums = np.array([0, 1024 * top, 512 * top, 512 * top + 1, 1024 * top], np.int64)
    assert one.dequantise(sums, 1024).mean[:3].tolist() == [-0.5, 0.5, 0]
    squares = 2 * (1024 * one.law.half) ** 2 + 1
    (block,) = one.next_blocks(sums, 1024, floor=1e-6, factor=1.0)
    assert block.clip == pytest.approx(2 * 0.5 * (squares / 4) ** 0.5 / (1024 * top), rel=1e-12)
