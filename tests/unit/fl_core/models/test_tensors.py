"""Named tensors and the flat vector."""

import numpy as np
import pytest

from fl_core.errors import LocalProtocolError
from fl_core.models import TensorSpec, flatten, specs_of, unflatten, vector_length


def model():
    return {
        "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "layer.bias": np.array([10, 11], dtype=np.float32),
        "scale": np.array(7, dtype=np.float32),
    }


def test_the_vector_joins_tensors_in_the_order_of_their_names():
    assert flatten(model()).tolist() == [10, 11, 0, 1, 2, 3, 4, 5, 7]


def test_insertion_order_does_not_change_the_vector():
    turned = dict(reversed(model().items()))
    assert np.array_equal(flatten(turned), flatten(model()))


def test_a_tensor_in_fortran_order_is_joined_in_c_order():
    tensors = {"w": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))}
    assert flatten(tensors).tolist() == [0, 1, 2, 3, 4, 5]


def test_unflatten_undoes_flatten():
    tensors = model()
    back = unflatten(flatten(tensors), specs_of(tensors))
    assert list(back) == sorted(tensors)
    assert all(np.array_equal(back[name], tensors[name]) for name in tensors)
    assert all(back[name].shape == tensors[name].shape for name in tensors)


def test_unflattened_tensors_are_copies():
    vector = flatten(model())
    back = unflatten(vector, specs_of(model()))
    vector[:] = 0
    assert np.array_equal(back["layer.bias"], model()["layer.bias"])


def test_specs_describe_names_and_shapes_and_their_length_is_the_vectors():
    specs = specs_of(model())
    assert specs == (
        TensorSpec("layer.bias", (2,)),
        TensorSpec("layer.weight", (2, 3)),
        TensorSpec("scale", ()),
    )
    assert vector_length(specs) == flatten(model()).size == 9


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_only_float32_tensors_are_flattened(dtype):
    with pytest.raises(LocalProtocolError, match="must be float32"):
        flatten({"w": np.zeros(2, dtype=dtype)})


def test_an_empty_tensor_is_refused():
    with pytest.raises(LocalProtocolError, match="each of at least one"):
        flatten({"w": np.zeros((2, 0), dtype=np.float32)})


@pytest.mark.parametrize(
    ("vector", "specs"),
    [
        pytest.param(np.zeros(3, np.float32), (TensorSpec("a", (2,)),), id="too long"),
        pytest.param(np.zeros(1, np.float32), (TensorSpec("a", (2,)),), id="too short"),
        pytest.param(np.zeros((2, 1), np.float32), (TensorSpec("a", (2,)),), id="not a vector"),
        pytest.param(np.zeros(2, np.float64), (TensorSpec("a", (2,)),), id="not float32"),
        pytest.param(
            np.zeros(2, np.float32), (TensorSpec("b", ()), TensorSpec("a", ())), id="unsorted names"
        ),
        pytest.param(np.zeros(2, np.float32), (TensorSpec("a", ()), TensorSpec("a", ())), id="a name twice"),
    ],
)
def test_unflatten_refuses_what_does_not_fit(vector, specs):
    with pytest.raises(LocalProtocolError):
        unflatten(vector, specs)


@pytest.mark.parametrize("name", ["weight", "a/b-c.0", "_", "9", "x" * 256])
def test_plain_names_are_allowed(name):
    assert TensorSpec(name, (1,)).name == name


@pytest.mark.parametrize(
    "name", ["", "x" * 257, "a b", "ü", 'a"', "a\n", ".hidden", "/root", "__metadata__ "]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="name"):
        TensorSpec(name, (1,))


@pytest.mark.parametrize("shape", [(0,), (-1, -2), (1,) * 9, (1 << 21, 1 << 20)])
def test_impossible_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="tensor"):
        TensorSpec("w", shape)
