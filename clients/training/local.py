"""One round of training at one holder, and the evaluation of a model on a holder's examples.

Local steps only: nothing here knows of rounds, encryption or the network. The caller chooses torch's number of threads;
tensors this small never use more than one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from clients.training import model
from clients.training.heart_disease import Examples
from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError
from fl_core.models import Tensors

UPDATES = 100
"""Steps in one round [Terrail22, Appendix: Fed-Heart-Disease]."""

BATCH_SIZE = 4
"""Examples in one step (the same source)."""

LEARNING_RATE = 0.01
"""Chosen on a part of the training examples held back; see ``docs/reference/heart-disease.md``."""


class Trained(NamedTuple):
    """What :func:`local_training` returns.

    Attributes:
        tensors: The new model.
        examples: How many examples it was trained on: the holder's weight.
    """

    tensors: dict[str, npt.NDArray[np.float32]]
    examples: int


class Score(NamedTuple):
    """How many of ``total`` examples a model classifies correctly."""

    correct: int
    total: int

    @property
    def accuracy(self) -> float:
        """Share of correct answers."""
        return self.correct / self.total


def training_seed(run_seed: int, round_number: int, holder: str) -> bytes:
    """Return the seed of one holder's batches in one round; equal arguments give equal batches, protected or not.

    Args:
        run_seed: In [0, 2^64).
        round_number: In [0, 2^32).
        holder: Any name.
    """
    return digest(
        Label.TRAINING_SEED, run_seed.to_bytes(8, "big"), round_number.to_bytes(4, "big"), holder.encode()
    )


def local_training(
    tensors: Tensors,
    data: Examples,
    *,
    seed: bytes,
    updates: int = UPDATES,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
) -> Trained:
    """Train a model by stochastic gradient descent.

    Args:
        tensors: The model to start from; not changed.
        data: The holder's training examples.
        seed: Decides the order of the examples; see :func:`training_seed`.
        updates: Number of steps.
        batch_size: Examples in a step. Every pass over the data is a new permutation; its last batch may be smaller.
        learning_rate: At most :data:`clients.training.model.MAX_STABLE_LEARNING_RATE` for the stability result to hold.

    Raises:
        LocalProtocolError: ``tensors`` are not a model of this task, ``data`` is empty or a setting is not positive.
    """
    if not len(data) or updates < 1 or batch_size < 1 or not learning_rate > 0:
        raise LocalProtocolError(
            "training takes examples, steps, a batch size and a learning rate above zero"
        )
    parameters = model.to_parameters(tensors)
    features, labels = model.design(data)
    for batch in _batches(len(data), seed, updates, batch_size):
        model.descend(parameters, features[batch], labels[batch], learning_rate)
    return Trained(model.to_tensors(parameters), len(data))


def evaluate(tensors: Tensors, data: Examples) -> Score:
    """Count the examples that the model classifies correctly (disease where its probability exceeds one half).

    Raises:
        LocalProtocolError: ``tensors`` are not a model of this task or ``data`` is empty.
    """
    if not len(data):
        raise LocalProtocolError("a model is evaluated on at least one example")
    features, labels = model.design(data)
    predicted = features @ model.to_parameters(tensors) > 0
    return Score(int((predicted == (labels > 0)).sum()), len(data))


def _batches(size: int, seed: bytes, updates: int, batch_size: int) -> list[torch.Tensor]:
    """Return the positions of the examples of each step."""
    generator = torch.Generator().manual_seed(int.from_bytes(seed[:8], "big") >> 1)
    batches: list[torch.Tensor] = []
    while len(batches) < updates:
        batches.extend(torch.split(torch.randperm(size, generator=generator), batch_size))
    return batches[:updates]
