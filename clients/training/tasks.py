"""The training tasks that are installed on this machine, by the name that terms use.

A task turns (model, data set, settings) into (new model, number of examples, counters). Counters are small integers that are
summed under encryption beside the update; here they say how the *received* model does on the holder's own test examples, so
the federation's accuracy is known every round and no holder's is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fl_core.errors import InputError
from fl_core.models import Tensors

Settings = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """What a task made.

    Attributes:
        tensors: The trained model.
        examples: Number of examples it was trained on.
        counters: One integer for each name in :attr:`Task.counters`.
    """

    tensors: dict[str, npt.NDArray[np.float32]]
    examples: int
    counters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A training task.

    Attributes:
        counters: Names of its counters.
        run: Trains; takes model, data file, settings, round number and the holder's name.
        initial: Makes the model of round 0.
    """

    counters: tuple[str, ...]
    run: Callable[[Tensors, Path, Settings, int, str], TrainingResult]
    initial: Callable[[], dict[str, npt.NDArray[np.float32]]]


CORRECT = "test-correct"
TOTAL = "test-total"


def _heart_disease() -> Task:
    import torch

    from clients.training.heart_disease import load_hospital
    from clients.training.local import evaluate, local_training, training_seed
    from clients.training.model import initial_model

    def run(tensors: Tensors, data: Path, settings: Settings, number: int, holder: str) -> TrainingResult:
        torch.set_num_threads(1)
        hospital = load_hospital(data, holder)
        score = evaluate(tensors, hospital.test)
        trained = local_training(
            tensors,
            hospital.train,
            seed=training_seed(int(settings["seed"]), number, holder),
            updates=int(settings["updates"]),
            batch_size=int(settings["batch_size"]),
            learning_rate=float(settings["learning_rate"]),
        )
        return TrainingResult(trained.tensors, trained.examples, (score.correct, score.total))

    return Task(counters=(CORRECT, TOTAL), run=run, initial=initial_model)


_TASKS: Mapping[str, Callable[[], Task]] = {"heart-disease": _heart_disease}


def load_task(name: str) -> Task:
    """Return the task ``name``; its libraries are imported now and not before.

    Raises:
        InputError: It is not installed here.
    """
    if name not in _TASKS:
        raise InputError(f"the task {name!r} is not installed; there are: {', '.join(sorted(_TASKS))}.")
    return _TASKS[name]()


def _check_heart_disease(path: Path) -> None:
    from clients.training.heart_disease import load_hospitals

    load_hospitals(path)


_CHECKS: Mapping[str, Callable[[Path], None]] = {"heart-disease": _check_heart_disease}


def task_names() -> frozenset[str]:
    """Return the names of the installed tasks; imports none of them."""
    return frozenset(_TASKS)


def check_data(name: str, path: Path) -> None:
    """Check that a file is one that the task ``name`` can train on; needs none of its training libraries.

    Raises:
        InputError: It is not, or the task is not installed.
    """
    if name not in _CHECKS:
        raise InputError(f"the task {name!r} is not installed; there are: {', '.join(sorted(_TASKS))}.")
    _CHECKS[name](path)
