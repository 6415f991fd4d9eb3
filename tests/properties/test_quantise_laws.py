"""Laws of quantisation and of model bytes, for generated inputs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fl_core.digests import Label
from fl_core.errors import DecodeError
from fl_core.models import decode_model, encode_model, flatten, specs_of, unflatten
from fl_core.quantise import Block, Quantiser
from fl_core.randomness import Stream

finite = st.floats(-(2.0**70), 2.0**70, width=32)
clips = st.floats(2.0**-60, 2.0**60)
names = st.text("abcXYZ019_./-", min_size=1, max_size=12).filter(lambda name: name[0] not in "./-")
tensors = st.dictionaries(
    names,
    arrays.arrays(np.float32, arrays.array_shapes(min_dims=0, max_dims=3, max_side=4), elements=finite),
    min_size=1,
    max_size=5,
)


def stream(seed):
    return Stream(seed.to_bytes(32, "big"), Label.ROUNDING)


@st.composite
def rounds(draw):
    """A quantiser and one (update, examples, seed) for each of up to 64 clients."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    blocks = tuple(Block(f"b{i}", size, draw(clips)) for i, size in enumerate(sizes))
    bits = draw(st.integers(2, 15))
    one = Quantiser(blocks, ("c",), draw(st.integers(1, 1000)), bits)
    clients = draw(
        st.lists(
            st.tuples(
                arrays.arrays(np.float32, one.size, elements=finite),
                st.integers(1, 2000),
                st.integers(0, 2**64),
            ),
            min_size=1,
            max_size=draw(st.sampled_from([1, 4, 64])),
        )
    )
    return one, clients


@given(rounds())
@settings(max_examples=80, deadline=None)
def test_the_sum_decodes_to_the_weighted_mean_within_the_bound_and_never_overflows(generated):
    one, clients = generated
    clip = np.repeat([block.clip for block in one.blocks], [block.size for block in one.blocks])
    total = np.zeros(one.length, np.int64)
    weighted = np.zeros(one.size)
    for update, examples, seed in clients:
        units = one.weight_units(examples)
        values = one.quantise(update, units, (one.law.top,), stream(seed)).values
        assert values[: one.size].max() <= one.law.top
        total += values
        weighted += units * np.clip(update.astype(np.float64), -clip, clip)
    assert total.max() <= 64 * (one.law.limit - 1) < 1 << (one.value_bits + 6)
    mean, weight_units, counters = one.dequantise(total, len(clients))
    assert counters == (len(clients) * one.law.top,)
    assert weight_units == sum(one.weight_units(examples) for _, examples, _ in clients)
    error = np.abs(mean - weighted / weight_units)
    step = 2 * clip / weight_units  # docs/explanation/quantisation.md, proposition 1
    assert (error <= len(clients) * step + 2.0**-22 * clip).all()


@given(rounds())
@settings(max_examples=40, deadline=None)
def test_any_order_of_the_sum_decodes_to_the_same_bits(generated):
    one, clients = generated
    vectors = [
        one.quantise(u, one.weight_units(n), (0,), stream(s)).values.astype(np.int64) for u, n, s in clients
    ]
    forth = one.dequantise(np.sum(vectors, axis=0), len(vectors))
    back = one.dequantise(np.sum(vectors[::-1], axis=0), len(vectors))
    assert forth.mean.tobytes() == back.mean.tobytes()


@given(rounds(), st.floats(2.0**-50, 1.0))
@settings(max_examples=40, deadline=None)
def test_the_next_clips_are_legal_and_move_by_at_most_the_growth_bound(generated, floor):
    one, clients = generated
    vectors = [
        one.quantise(u, one.weight_units(n), (0,), stream(s)).values.astype(np.int64) for u, n, s in clients
    ]
    after = one.next_blocks(np.sum(vectors, axis=0), len(vectors), floor=floor)
    for old, new in zip(one.blocks, after, strict=True):
        assert new.clip >= floor
        assert new.clip <= max(floor, 4 * old.clip)
        assert new.clip >= min(old.clip / 4, 2.0**60)


@given(tensors)
@settings(max_examples=80, deadline=None)
def test_decode_undoes_encode_and_unflatten_undoes_flatten(model):
    data = encode_model(model)
    back = decode_model(data, len(data))
    again = unflatten(flatten(model), specs_of(model))
    for name, tensor in model.items():
        assert back[name].shape == again[name].shape == tensor.shape
        assert back[name].tobytes() == again[name].tobytes() == tensor.tobytes(order="C")


@given(tensors, st.data())
@settings(max_examples=120, deadline=None)
def test_tampered_bytes_are_refused_or_are_the_canonical_form_of_another_model(model, data):
    raw = bytearray(encode_model(model))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] = data.draw(st.integers(0, 255))
    tampered = bytes(raw[: data.draw(st.sampled_from([len(raw), len(raw) - 1]))])
    try:
        back = decode_model(tampered, 1 << 20)
    except DecodeError:
        return
    assert encode_model(back) == tampered


@given(st.binary(max_size=200))
@settings(max_examples=120, deadline=None)
def test_any_bytes_are_decoded_or_raise_decode_error(data):
    try:
        back = decode_model(data, 200)
    except DecodeError:
        return
    assert encode_model(back) == data
