"""The network of 11 million parameters that measurements train."""

from __future__ import annotations

import numpy as np
import pytest

from clients.training import wide
from clients.training.heart_disease import load_hospitals
from fl_core.errors import LocalProtocolError


@pytest.fixture(scope="module")
def model() -> dict[str, np.ndarray]:
    return wide.initial_model()


def test_it_has_eleven_million_parameters_of_single_precision(model: dict[str, np.ndarray]) -> None:
    assert sum(tensor.size for tensor in model.values()) == wide.PARAMETERS == 11_000_360
    assert {tensor.dtype for tensor in model.values()} == {np.dtype(np.float32)}


def test_it_learns_and_leaves_the_model_that_it_was_given(model: dict[str, np.ndarray]) -> None:
    data = next(iter(load_hospitals().values())).train
    before = {name: tensor.copy() for name, tensor in model.items()}
    trained = wide.train(model, data, seed=bytes(32), updates=40, batch_size=32, learning_rate=0.01)
    assert all(np.array_equal(model[name], before[name]) for name in model)
    assert wide.evaluate(trained.tensors, data).correct > wide.evaluate(model, data).correct


def test_without_an_update_the_model_comes_back_as_it_was(model: dict[str, np.ndarray]) -> None:
    data = next(iter(load_hospitals().values())).train
    same = wide.train(model, data, seed=bytes(32), updates=0, batch_size=32, learning_rate=0.01)
    assert same.examples == len(data)
    assert all(np.array_equal(model[name], same.tensors[name]) for name in model)


def test_a_model_of_another_task_is_refused() -> None:
    data = next(iter(load_hospitals().values())).train
    with pytest.raises(LocalProtocolError, match="layer0"):
        wide.evaluate({}, data)
