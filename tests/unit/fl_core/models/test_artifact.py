"""Canonical safetensors bytes; the safetensors library is the independent judge."""

import hashlib
import json

import numpy as np
import pytest
import safetensors.numpy

from fl_core.errors import DecodeError, LocalProtocolError
from fl_core.models import decode_model, encode_model, model_digest

LIMIT = 1 << 20


def model():
    return {
        "linear.weight": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
        "linear.bias": np.array([-0.0], dtype=np.float32),
        "scale": np.array(1e-40, dtype=np.float32),
    }


def artifact(header, body=b"\0" * 8, *, raw=None, pad=True):
    """Bytes with the given JSON header, padded as the format asks."""
    text = raw if raw is not None else json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8) if pad else b""
    return len(text).to_bytes(8, "little") + text + body


def entry(shape=(2,), begin=0, end=8, dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def test_the_bytes_are_those_of_the_safetensors_library():
    assert encode_model(model()) == safetensors.numpy.save(model())


def test_the_safetensors_library_reads_what_we_write():
    read = safetensors.numpy.load(encode_model(model()))
    assert read.keys() == model().keys()
    assert all(read[name].tobytes() == model()[name].tobytes() for name in read)


def test_decoding_gives_back_names_shapes_and_bits():
    back = decode_model(encode_model(model()), LIMIT)
    assert list(back) == sorted(model())
    for name, tensor in model().items():
        assert back[name].dtype == np.float32
        assert back[name].shape == tensor.shape
        assert back[name].tobytes() == tensor.tobytes()


def test_encoding_does_not_depend_on_insertion_or_memory_order():
    turned = {name: tensor.copy(order="F") for name, tensor in reversed(model().items())}
    assert encode_model(turned) == encode_model(model())


def test_decoded_tensors_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        decode_model(encode_model(model()), LIMIT)["scale"][...] = 1


def test_the_digest_is_the_sha256_of_the_file():
    data = encode_model(model())
    assert model_digest(data) == hashlib.sha256(data).digest()


def test_a_model_of_exactly_the_limit_is_read_and_one_byte_less_is_not_enough():
    data = encode_model(model())
    assert decode_model(data, len(data))
    with pytest.raises(DecodeError, match="at most"):
        decode_model(data, len(data) - 1)


def test_the_hand_made_artifact_is_canonical():
    """The table below tampers with this one; it must be good itself."""
    assert decode_model(artifact({"w": entry()}), LIMIT)["w"].tolist() == [0, 0]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x02\0\0\0", id="cut in the length"),
        pytest.param((1 << 63).to_bytes(8, "little") + b"{}", id="huge header length"),
        pytest.param(artifact({"w": entry()})[:-9], id="cut in the header"),
        pytest.param(artifact({"w": entry()}, b"\0" * 7), id="cut in the values"),
        pytest.param(artifact({"w": entry()}, b"\0" * 9), id="trailing byte"),
        pytest.param(artifact({"w": entry()}, pad=False), id="unpadded header"),
        pytest.param(
            artifact(None, raw=b'{"w": {"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'), id="space"
        ),
        pytest.param(
            artifact(
                None,
                raw=b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,8]},'
                b'"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
            ),
            id="a name twice",
        ),
        pytest.param(artifact({"w": entry((1,), 0, 4), "a": entry((1,), 4, 8)}), id="unsorted names"),
        pytest.param(artifact({"a": entry((1,), 4, 8), "w": entry((1,), 0, 4)}), id="swapped data"),
        pytest.param(artifact({"a": entry((1,), 0, 4), "w": entry((1,), 0, 4)}), id="overlap"),
        pytest.param(artifact({"w": entry((1,), 4, 8)}), id="hole"),
        pytest.param(artifact({"w": entry((2,), 0, 4)}), id="offsets against the shape"),
        pytest.param(artifact({"w": entry() | {"extra": 1}}), id="unknown field"),
        pytest.param(artifact({"w": {"dtype": "F32", "data_offsets": [0, 8]}}), id="no shape"),
        pytest.param(artifact({"__metadata__": {"a": "b"}, "w": entry()}), id="metadata"),
        pytest.param(artifact({"w": entry(dtype="F16", shape=(4,))}), id="half precision"),
        pytest.param(artifact({"w": entry(dtype="I64", shape=(1,))}), id="integers"),
        pytest.param(artifact({"w": entry(shape=(0,), end=0)}, b""), id="empty tensor"),
        pytest.param(artifact({"w": entry(shape=(2.0,))}), id="float in the shape"),
        pytest.param(artifact({"w": entry(shape=(True, 2))}), id="boolean in the shape"),
        pytest.param(artifact({"w": entry(shape=(-1, -2))}), id="negative sizes"),
        pytest.param(artifact({"w": entry(shape=(2,) + (1,) * 8)}), id="too many dimensions"),
        pytest.param(artifact({"a b": entry()}), id="name with a space"),
        pytest.param(artifact({}, b""), id="no tensor"),
        pytest.param(artifact([], b""), id="a list"),
        pytest.param(artifact({"w": 1}), id="entry is a number"),
        pytest.param(artifact(None, raw=b"\xff\xfe"), id="not UTF-8"),
        pytest.param(artifact(None, raw=b"[" * 100_000), id="deep nesting"),
        pytest.param(artifact(None, raw=b'{"w":' + b"9" * 5000 + b"}"), id="huge number"),
        pytest.param(artifact({"w": entry()}, np.array([1, np.nan], "<f4").tobytes()), id="NaN"),
        pytest.param(artifact({"w": entry()}, np.array([1, -np.inf], "<f4").tobytes()), id="infinity"),
    ],
)
def test_bytes_that_are_not_canonical_are_refused(data):
    with pytest.raises(DecodeError):
        decode_model(data, LIMIT)


def test_a_header_over_its_limit_is_refused_before_it_is_parsed():
    data = artifact(None, raw=b" " * ((1 << 20) + 8))
    with pytest.raises(DecodeError, match="too long"):
        decode_model(data, 1 << 22)


def test_any_flipped_bit_of_the_header_is_noticed():
    data = encode_model(model())
    size = 8 + int.from_bytes(data[:8], "little")
    for position in range(size):
        for bit in (1, 32):
            broken = bytearray(data)
            broken[position] ^= bit
            try:
                back = decode_model(bytes(broken), LIMIT)
            except DecodeError:
                continue
            assert encode_model(back) == broken  # a letter of a name changed: another model, canonical again


@pytest.mark.parametrize(
    ("tensors", "rule"),
    [
        pytest.param({}, "at least one", id="no tensor"),
        pytest.param({"w": np.zeros(2)}, "float32", id="float64"),
        pytest.param({"w": np.array([np.nan], np.float32)}, "not finite", id="NaN"),
        pytest.param({"w": np.array([np.inf], np.float32)}, "not finite", id="infinity"),
        pytest.param({"a b": np.zeros(2, np.float32)}, "name", id="name"),
    ],
)
def test_what_could_not_be_decoded_is_not_encoded(tensors, rule):
    with pytest.raises(LocalProtocolError, match=rule):
        encode_model(tensors)
