"""The server's step, bit by bit: every value is the float64 sum, rounded once."""

from __future__ import annotations

import numpy as np
import pytest

from fl_core.errors import LocalProtocolError
from fl_core.models import same_model
from fl_core.models.step import FEDAVG, apply_step


def random_model(generator: np.random.Generator) -> dict[str, np.ndarray]:
    wide = generator.normal(size=(300, 311)) * 10.0 ** generator.integers(-30, 30, size=(300, 311))
    return {"layer.b": generator.normal(size=17).astype(np.float32), "layer.a": wide.astype(np.float32)}


def test_each_value_is_the_sum_in_float64_rounded_once() -> None:
    generator = np.random.default_rng(7)
    model = random_model(generator)
    before = {name: tensor.copy() for name, tensor in model.items()}
    size = sum(tensor.size for tensor in model.values())
    update = (generator.normal(size=size) * 10.0 ** generator.integers(-30, 30, size=size)).astype(np.float32)
    flat = np.concatenate([model[name].reshape(-1) for name in sorted(model)])
    wanted = np.array([np.float32(float(a) + float(b)) for a, b in zip(flat, update, strict=True)])
    found = apply_step(FEDAVG, model, update)
    joined = np.concatenate([found[name].reshape(-1) for name in sorted(found)])
    assert joined.dtype == np.float32 and joined.tobytes() == wanted.tobytes()
    assert same_model(model, before), "the model that was trained from stays as it is"


def test_an_unknown_step_and_an_update_of_another_length_are_refused() -> None:
    model = {"w": np.zeros(3, np.float32)}
    with pytest.raises(LocalProtocolError, match="there is no step 'fedprox'"):
        apply_step("fedprox", model, np.zeros(3, np.float32))
    with pytest.raises(LocalProtocolError, match="has 4 values, the model 3"):
        apply_step(FEDAVG, model, np.zeros(4, np.float32))


def test_models_are_the_same_by_names_shapes_and_bits() -> None:
    one = {"w": np.array([[0.0, 1.0]], np.float32)}
    assert same_model(one, {"w": np.array([[0.0, 1.0]], np.float32)})
    assert same_model(one, {"w": np.asfortranarray(one["w"])})
    assert not same_model(one, {"w": np.array([[-0.0, 1.0]], np.float32)}), (
        "other bits, though equal as numbers"
    )
    assert not same_model(one, {"w": np.array([0.0, 1.0], np.float32)})
    assert not same_model(one, {"v": one["w"]})
    assert not same_model(one, {**one, "v": one["w"]})
