"""A network of 11 million parameters on the records of the heart-disease task: a model of the usual size, for measurements.

It asks for what a data holder's machine really does in a round (libraries, forward and backward passes, an optimiser's step, 44 MB of
model in and out) and needs no further data. It is no better model for these few records than the task's own. Layers: 13 features,
three hidden layers of :data:`WIDTH` rectified units, one logit.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from clients.training.heart_disease import FEATURES, Examples
from clients.training.local import Score, Trained
from fl_core.errors import LocalProtocolError
from fl_core.models import Tensors

WIDTH = 2341
SIZES = (len(FEATURES), WIDTH, WIDTH, WIDTH, 1)
PARAMETERS = sum(inner * outer + outer for inner, outer in pairwise(SIZES))
"""11,000,360."""

_INITIAL_SEED = 11


def _names() -> list[tuple[str, str]]:
    return [(f"layer{number}.weight", f"layer{number}.bias") for number in range(len(SIZES) - 1)]


def initial_model() -> dict[str, npt.NDArray[np.float32]]:
    """Return the model every run starts from: weights of variance 2 over the number of inputs, biases zero; always the same."""
    generator = torch.Generator().manual_seed(_INITIAL_SEED)
    tensors: dict[str, npt.NDArray[np.float32]] = {}
    for (weight, bias), (inner, outer) in zip(_names(), pairwise(SIZES), strict=True):
        values = torch.randn((outer, inner), generator=generator) * (2 / inner) ** 0.5
        tensors[weight], tensors[bias] = values.numpy(), np.zeros(outer, dtype=np.float32)
    return tensors


def _parameters(tensors: Tensors) -> list[tuple[torch.Tensor, torch.Tensor]]:
    try:
        return [
            (torch.from_numpy(tensors[weight].copy()), torch.from_numpy(tensors[bias].copy()))
            for weight, bias in _names()
        ]
    except KeyError as error:
        raise LocalProtocolError(f"a model of this task has a tensor {error}") from error


def _logits(layers: list[tuple[torch.Tensor, torch.Tensor]], features: torch.Tensor) -> torch.Tensor:
    values = features
    for weight, bias in layers[:-1]:
        values = torch.relu(torch.addmm(bias, values, weight.T))
    weight, bias = layers[-1]
    return torch.addmm(bias, values, weight.T)[:, 0]


def _design(examples: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.from_numpy(examples.features.astype(np.float32)),
        torch.from_numpy(examples.labels.astype(np.float32)),
    )


def train(
    tensors: Tensors, data: Examples, *, seed: bytes, updates: int, batch_size: int, learning_rate: float
) -> Trained:
    """Take ``updates`` steps of stochastic gradient descent, each on a batch drawn with replacement.

    Args:
        tensors: The model to start from; not changed.
        data: The holder's training examples.
        seed: Decides the batches.
        updates: Number of steps; with 0 the model comes back as it is.
        batch_size: Examples in a step.
        learning_rate: Step size.

    Raises:
        LocalProtocolError: ``tensors`` are not a model of this task.
    """
    layers = _parameters(tensors)
    features, labels = _design(data)
    flat = [tensor.requires_grad_() for layer in layers for tensor in layer]
    optimiser = torch.optim.SGD(flat, lr=learning_rate)
    generator = torch.Generator().manual_seed(int.from_bytes(seed[:8], "big") >> 1)
    for _ in range(updates):
        batch = torch.randint(len(data), (batch_size,), generator=generator)
        optimiser.zero_grad()
        logits = _logits(layers, features[batch])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[batch])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    names = [name for pair in _names() for name in pair]
    return Trained(
        {name: tensor.detach().numpy() for name, tensor in zip(names, flat, strict=True)}, len(data)
    )


def evaluate(tensors: Tensors, data: Examples) -> Score:
    """Count the examples that the model classifies correctly.

    Raises:
        LocalProtocolError: ``tensors`` are not a model of this task.
    """
    features, labels = _design(data)
    with torch.no_grad():
        predicted = _logits(_parameters(tensors), features) > 0
    return Score(int((predicted == (labels > 0)).sum()), len(data))
