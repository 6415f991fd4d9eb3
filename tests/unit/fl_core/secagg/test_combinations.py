"""Every packing under every parameter set that it fits: integers, ends of ranges, widths on the wire, and no cheaper one."""

from __future__ import annotations

import numpy as np
import pytest

from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.lattice.parameters import (
    DEFAULT_PACKING,
    DEFAULT_PARAMETER_SET,
    P2048,
    PACK15,
    PACKINGS,
    PARAMETER_SETS,
    P4096g,
    Packing,
)
from fl_core.secagg import shamir
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.fold import MAX_COUNT, Accumulator
from fl_core.secagg.layout import Layout, valid_layouts
from fl_core.secret import Secret
from tests.unit.fl_core.secagg.parties import HEADER, encrypted, known, layout_of, summed, values_of
from tests.vectors.secagg import verify

LAYOUTS = valid_layouts(1000)
ALL = pytest.mark.parametrize("layout", LAYOUTS, ids=lambda c: f"{c.packing.name}-{c.params.name}")


def _mark(layout: Layout) -> object:
    """What takes a second or more is done once for each packing; the rest is slow."""
    quick = layout.params is (P4096g if layout.packing.name.endswith("g") else P2048)
    return pytest.param(layout, marks=() if quick or layout.packing is PACK15 else pytest.mark.slow)


SOME = pytest.mark.parametrize(
    "layout",
    [_mark(layout) for layout in LAYOUTS],
    ids=[f"{c.packing.name}-{c.params.name}" for c in LAYOUTS],
)


def test_every_packing_has_a_parameter_set_and_the_default_is_among_them():
    assert {layout.packing.name for layout in LAYOUTS} == set(PACKINGS)
    default = layout_of(1000, DEFAULT_PARAMETER_SET, DEFAULT_PACKING)
    assert default in LAYOUTS
    for_61_bits_only = {c.packing.name for c in LAYOUTS} - {
        c.packing.name for c in LAYOUTS if c.params.modulus_bits == 53
    }
    assert for_61_bits_only == {name for name in PACKINGS if name.endswith("g")}


@SOME
def test_a_ciphertext_is_that_of_schoolbook_arithmetic(layout):
    packing = layout.packing
    values, seed = values_of(layout, "anybody"), known("seed")
    ciphertext, _ = encrypt(layout, HEADER, values, Secret(seed))
    public = verify.public_elements(layout.params.name, HEADER, layout.elements)
    numbers = (packing.delta, packing.dropped_bits, packing.slots, packing.slot_bits)
    wire = verify.encrypt(layout.params.name, public, values.tolist(), seed, numbers)
    width = layout.coefficient_bytes
    assert ciphertext.tobytes() == b"".join(verify.wire_bytes(element, width) for element in wire)


@ALL
def test_the_sum_opens_to_the_sum(layout):
    accumulator, key, total = summed(layout, range(3))
    opened = decrypt(layout, HEADER, accumulator.sums, 3, key)
    assert np.array_equal(opened.values, total)
    assert opened.failed_elements == ()
    accumulator.subtract(encrypted(layout, 1)[0])
    accumulator.subtract(encrypted(layout, 2)[0])
    alone, secret = encrypted(layout, 0)
    single = Accumulator(layout)
    single.add(alone)
    assert np.array_equal(accumulator.sums, single.sums)
    opened = decrypt(layout, HEADER, single.sums, 1, secret.reveal())
    assert np.array_equal(opened.values, values_of(layout, 0))


@SOME
def test_as_many_parties_as_may_be_summed_at_the_top_of_the_range_do_not_overflow(layout):
    full = layout_of(layout.values_per_element, layout.params, layout.packing)
    parties = layout.packing.max_parties
    top = np.full(full.length, layout.packing.max_value, full.value_dtype)
    accumulator, secrets = Accumulator(full), []
    for who in range(parties):
        ciphertext, secret = encrypted(full, who, top)
        accumulator.add(ciphertext)
        secrets.append(secret.reveal())
    key = shamir.add_shares(full.params, secrets)
    opened = decrypt(full, HEADER, accumulator.sums, parties, key)
    assert (opened.values == parties * layout.packing.max_value).all()
    assert opened.failed_elements == ()
    sums, one = accumulator.sums.copy(), layout.packing.delta >> layout.packing.dropped_bits
    sums[2, 0] = (int(sums[2, 0]) + one) % layout.params.modulus  # one more in slot 0
    assert decrypt(full, HEADER, sums, parties, key).failed_elements == (2,)
    with pytest.raises(LocalProtocolError, match="opens sums of"):
        decrypt(full, HEADER, accumulator.sums, parties + 1, key)


@ALL
def test_ciphertexts_of_the_largest_coefficients_are_added_exactly_up_to_the_bound(layout):
    largest = verify.wire_bytes([layout.max_wire] * layout.params.degree, layout.coefficient_bytes)
    accumulator, q = Accumulator(layout), layout.params.modulus
    accumulator.add(largest * layout.elements)
    one = int(accumulator.sums[0, 0])
    assert one == layout.max_wire < q
    if layout.coefficient_bytes == 6:
        assert MAX_COUNT * layout.max_wire < 2**64
        return
    for _ in range(299):  # more than 256 of 56 bits
        accumulator.add(largest * layout.elements)
    assert (accumulator.sums == np.uint64(300 * layout.max_wire % q)).all()
    for _ in range(300):
        accumulator.subtract(largest * layout.elements)
    assert not accumulator.sums.any()


@ALL
def test_a_coefficient_above_the_largest_canonical_one_is_refused_and_changes_nothing(layout):
    accumulator = Accumulator(layout)
    accumulator.add(encrypted(layout, 0)[0])
    before = accumulator.sums.copy()
    degree, width = layout.params.degree, layout.coefficient_bytes
    for value in (layout.max_wire + 1, 2 ** (8 * width) - 1):
        row = verify.wire_bytes([0] * (degree - 1) + [value], width)
        with pytest.raises(DecodeError, match="at most"):
            accumulator.add(bytes(len(row)) * (layout.elements - 1) + row)
    assert np.array_equal(accumulator.sums, before)
    assert accumulator.count == 1


@ALL
def test_values_of_another_type_or_beyond_the_range_are_refused(layout):
    values = values_of(layout, 0)
    other = np.uint32 if layout.value_dtype == np.uint16 else np.uint16
    with pytest.raises(LocalProtocolError, match="values"):
        encrypt(layout, HEADER, values.astype(other), Secret(known("seed")))
    if layout.packing.value_bits < 8 * values.itemsize:
        values[3] = layout.packing.max_value + 1
        with pytest.raises(LocalProtocolError, match="below 2"):
            encrypt(layout, HEADER, values, Secret(known("seed")))


def cheapest(value_bits: int, parties: int, modulus_bits: int) -> float:
    """The least bytes a value, by trying every number of slots, Delta and dropped bits that a layout would accept."""
    slot_bits = (parties * ((1 << value_bits) - 1)).bit_length()
    best = float("inf")
    sets = [params for params in PARAMETER_SETS.values() if params.modulus_bits == modulus_bits]
    for dropped in range(1, 24):
        for delta in range(dropped + 1, dropped + 14):
            for slots in range(1, 6):
                odd = Packing(
                    name="odd",
                    slots=slots,
                    slot_bits=slot_bits,
                    value_bits=value_bits,
                    max_parties=parties,
                    delta_bits=delta,
                    dropped_bits=dropped,
                )
                for params in sets:
                    try:
                        layout = Layout(params=params, packing=odd, length=1)
                    except LocalProtocolError:
                        continue
                    best = min(best, layout.coefficient_bytes / slots)
    return best


@pytest.mark.parametrize("value_bits", [8, 12, 15, 16, 20])
@pytest.mark.parametrize("parties", [16, 64, 1024])
def test_no_packing_of_the_same_values_and_parties_is_cheaper_than_the_named_one(value_bits, parties):
    def cost(modulus_bits: int) -> float:
        return min(
            c.coefficient_bytes / c.packing.slots
            for c in LAYOUTS
            if (c.packing.value_bits, c.packing.max_parties) == (value_bits, parties)
            and c.params.modulus_bits == modulus_bits
        )

    narrow, wide = cost(53), cost(61)
    assert narrow == cheapest(value_bits, parties, 53)
    assert min(narrow, wide) == min(narrow, cheapest(value_bits, parties, 61))
