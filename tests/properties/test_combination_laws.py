"""The law of secure aggregation for every packing under every parameter set that it fits."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fl_core.digests import Label
from fl_core.quantise import Block, Quantiser
from fl_core.randomness import Stream
from fl_core.secagg import shamir
from fl_core.secagg.decrypt import decrypt
from fl_core.secagg.encrypt import encrypt
from fl_core.secagg.fold import Accumulator
from fl_core.secagg.layout import valid_layouts
from fl_core.secret import Secret

LAYOUTS = valid_layouts(7)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda c: f"{c.packing.name}-{c.params.name}")
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_the_sum_opens_to_the_sum(layout, data):
    top = layout.packing.max_value
    value = st.one_of(st.sampled_from([0, 1, top - 1, top]), st.integers(0, top))
    vectors = data.draw(st.lists(st.lists(value, min_size=7, max_size=7), min_size=1, max_size=5))
    header = data.draw(st.binary(min_size=32, max_size=32))
    accumulator, secrets = Accumulator(layout), []
    for who, vector in enumerate(vectors):
        seed = Secret(hashlib.sha256(header + bytes([who])).digest())
        ciphertext, secret = encrypt(layout, header, np.array(vector, layout.value_dtype), seed)
        accumulator.add(ciphertext)
        encoded = shamir.encode_vector(layout.params, secret.reveal())
        secrets.append(shamir.decode_vector(layout.params, encoded))
    key = shamir.add_shares(layout.params, secrets)
    opened = decrypt(layout, header, accumulator.sums, len(vectors), key)
    assert opened.values.tolist() == [sum(column) for column in zip(*vectors, strict=True)]
    assert opened.failed_elements == ()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 20),
    st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=50),
    st.integers(1, 30),
)
def test_values_of_every_width_decode_to_the_mean_within_a_step(bits, floats, examples):
    update = np.array(floats, np.float32)
    quantiser = Quantiser((Block("w", update.size, 1.0),), (), 10, bits)
    weight = quantiser.weight_units(examples)
    total = np.zeros(quantiser.length, np.int64)
    for number in range(3):
        stream = Stream(bytes([number]) * 32, Label.ROUNDING)
        quantised = quantiser.quantise(update, weight, (), stream)
        assert quantised.values.dtype == (np.uint16 if bits <= 16 else np.uint32)
        assert int(quantised.values.max()) <= quantiser.law.top
        total += quantised.values
    mean = quantiser.dequantise(total, 3).mean
    step = 2 / weight
    assert np.abs(mean - update.clip(-1, 1)).max() <= step * 1.001 + 2**-16
