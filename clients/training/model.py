"""Logistic regression over the 13 features, as torch tensors.

The model is FLamby's baseline for this task: ``p = sigmoid(weight . x + bias)`` under binary cross-entropy. Its loss is
convex, so a model starts at zero: there is no symmetry to break. The gradient has a closed form and is written out; this
spares autograd's bookkeeping, which would take most of the time at batches of four.

Arithmetic is float64 between the float32 tensors that come in and go out, so that rounding inside a round of training is
far below what quantisation does to its result.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from clients.training.heart_disease import FEATURES, MAX_SQUARED_NORM, Examples
from fl_core.errors import LocalProtocolError
from fl_core.models import Tensors

WEIGHT = "linear.weight"
BIAS = "linear.bias"

SHAPES: Mapping[str, tuple[int, ...]] = {BIAS: (1,), WEIGHT: (1, len(FEATURES))}

MAX_STABLE_LEARNING_RATE = 8 / MAX_SQUARED_NORM
"""2 / smoothness (about 0.093): up to here no step of gradient descent drives two models apart.

The loss of one example has the second derivative p (1 - p) z z' with z = (x, 1), whose norm is at most |z|^2 / 4; a
batch's mean has no more.
"""


def initial_model() -> dict[str, npt.NDArray[np.float32]]:
    """Return the model every run starts from: zeros."""
    return {name: np.zeros(shape, dtype=np.float32) for name, shape in SHAPES.items()}


def design(examples: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``(n, 14) float64`` features with a column of ones, and ``(n,) float64`` labels."""
    ones = np.ones((len(examples), 1))
    return torch.from_numpy(np.hstack([examples.features, ones])), torch.from_numpy(
        examples.labels.astype(np.float64)
    )


def to_parameters(tensors: Tensors) -> torch.Tensor:
    """Return the model as one ``(14,) float64`` tensor: weights, then bias.

    Raises:
        LocalProtocolError: ``tensors`` are not a model of this task.
    """
    if {name: tensor.shape for name, tensor in tensors.items()} != dict(SHAPES):
        raise LocalProtocolError(f"a model of this task has the tensors {dict(SHAPES)}")
    return torch.from_numpy(np.concatenate([tensors[WEIGHT][0], tensors[BIAS]]).astype(np.float64))


def to_tensors(parameters: torch.Tensor) -> dict[str, npt.NDArray[np.float32]]:
    """Undo :func:`to_parameters`, rounding to float32."""
    values = parameters.numpy().astype(np.float32)
    return {BIAS: values[-1:].copy(), WEIGHT: values[:-1].reshape(SHAPES[WEIGHT]).copy()}


def descend(
    parameters: torch.Tensor, features: torch.Tensor, labels: torch.Tensor, learning_rate: float
) -> None:
    """Take one step of gradient descent on the mean loss of a batch, in place.

    Args:
        parameters: ``(14,) float64``, overwritten.
        features: ``(b, 14) float64``.
        labels: ``(b,) float64``.
        learning_rate: Positive.
    """
    error = torch.sigmoid(features @ parameters).sub_(labels)
    parameters.addmv_(features.T, error, alpha=-learning_rate / len(labels))
