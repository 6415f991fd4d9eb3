"""What protected training is compared with: each hospital alone, all data in one place, and plain federated averaging.

All three take the same number of steps per model and draw their batches from the same seeds, so that the plain federated
average differs from a protected run by quantisation only. They see data that in reality never leaves the hospitals: they
exist for the demo's summary and for tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from clients.training.heart_disease import Examples, Hospital
from clients.training.local import BATCH_SIZE, LEARNING_RATE, UPDATES, local_training, training_seed
from clients.training.model import initial_model
from fl_core.models import Tensors

ROUNDS = 15
"""Rounds of 100 steps [Terrail22, Appendix: Fed-Heart-Disease]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how fast to train.

    Attributes:
        seed: Decides all batches; in [0, 2^64).
        rounds: Number of rounds.
        updates: Steps of each holder in a round.
        batch_size: Examples in a step.
        learning_rate: Step size.
    """

    seed: int
    rounds: int = ROUNDS
    updates: int = UPDATES
    batch_size: int = BATCH_SIZE
    learning_rate: float = LEARNING_RATE

    def step(
        self, tensors: Tensors, data: Examples, round_number: int, holder: str
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Return what ``holder`` makes of ``tensors`` in one round."""
        return local_training(
            tensors,
            data,
            seed=training_seed(self.seed, round_number, holder),
            updates=self.updates,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        ).tensors


def local_only(hospital: Hospital, plan: Plan) -> dict[str, npt.NDArray[np.float32]]:
    """Return the model that one hospital trains alone."""
    return _alone(hospital.train, hospital.name, plan)


def pooled(hospitals: Iterable[Hospital], plan: Plan) -> dict[str, npt.NDArray[np.float32]]:
    """Return the model trained on all hospitals' training examples in one place."""
    return _alone(Examples.joined(hospital.train for hospital in hospitals), "pooled", plan)


def federated_average(hospitals: Mapping[str, Hospital], plan: Plan) -> dict[str, npt.NDArray[np.float32]]:
    """Return the model of plain federated averaging [McMahan17, Algorithm 1], every hospital in every round.

    Rounds are numbered from 1, as on the ledger.
    """
    total = sum(len(hospital.train) for hospital in hospitals.values())
    tensors = initial_model()
    for round_number in range(1, plan.rounds + 1):
        local = {name: plan.step(tensors, one.train, round_number, name) for name, one in hospitals.items()}
        for tensor in tensors:
            mean = sum(
                len(hospitals[name].train) / total * local[name][tensor].astype(np.float64) for name in local
            )
            tensors[tensor] = np.asarray(mean, dtype=np.float32)
    return tensors


def _alone(data: Examples, holder: str, plan: Plan) -> dict[str, npt.NDArray[np.float32]]:
    tensors = initial_model()
    for round_number in range(1, plan.rounds + 1):
        tensors = plan.step(tensors, data, round_number, holder)
    return tensors
