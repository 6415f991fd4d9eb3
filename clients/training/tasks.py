"""The training tasks that are installed on this machine, by the name that terms use.

A task turns (model, data set, settings) into (new model, number of examples, counters). Counters are small integers that are
summed under encryption beside the update; here they say how the *received* model does on the holder's own test examples, so
the federation's accuracy is known every round and no holder's is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clients.training.settings import HEART_DISEASE, Setting
from fl_core.errors import InputError
from fl_core.models import Tensors

if TYPE_CHECKING:  # they bring torch, which only whoever trains loads
    from clients.training.local import Score, Trained

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
        settings: Names of the settings that it needs, and what each may be; it knows no others.
        run: Trains; takes model, data file, settings, round number and the holder's name.
        initial: Makes the model of round 0.
    """

    counters: tuple[str, ...]
    settings: Mapping[str, Setting]
    run: Callable[[Tensors, Path, Settings, int, str], TrainingResult]
    initial: Callable[[], dict[str, npt.NDArray[np.float32]]]


CORRECT = "test-correct"
TOTAL = "test-total"


def _heart_disease() -> Task:
    from clients.training.local import evaluate, local_training
    from clients.training.model import initial_model

    return _on_heart_disease(evaluate, local_training, initial_model)


def _wide_heart_disease() -> Task:
    from clients.training.wide import evaluate, initial_model, train

    return _on_heart_disease(evaluate, train, initial_model)


def _on_heart_disease(
    evaluate: Callable[..., Score],
    train: Callable[..., Trained],
    initial: Callable[[], dict[str, npt.NDArray[np.float32]]],
) -> Task:
    """Return a task on a hospital's patients: score the model that came on the test part, then train it on the other."""
    import torch

    from clients.training.heart_disease import load_hospital
    from clients.training.local import training_seed

    def run(tensors: Tensors, data: Path, settings: Settings, number: int, holder: str) -> TrainingResult:
        torch.set_num_threads(1)
        hospital = load_hospital(data, holder)
        score = evaluate(tensors, hospital.test)
        trained = train(
            tensors,
            hospital.train,
            seed=training_seed(int(settings["seed"]), number, holder),
            updates=int(settings["updates"]),
            batch_size=int(settings["batch_size"]),
            learning_rate=float(settings["learning_rate"]),
        )
        return TrainingResult(trained.tensors, trained.examples, (score.correct, score.total))

    return Task(counters=(CORRECT, TOTAL), settings=HEART_DISEASE, run=run, initial=initial)


_TASKS: Mapping[str, Callable[[], Task]] = {
    "heart-disease": _heart_disease,
    "heart-disease-wide": _wide_heart_disease,  # 11 million parameters; for measurements
}


def load_task(name: str) -> Task:
    """Return the task ``name``; its libraries are imported now and not before.

    Raises:
        InputError: It is not installed here.
    """
    if name not in _TASKS:
        raise InputError(f"the task {name!r} is not installed; there are: {', '.join(sorted(_TASKS))}.")
    return _TASKS[name]()


def _check_heart_disease(path: Path, holder: str) -> None:
    from clients.training.heart_disease import load_hospital

    load_hospital(path, holder)


_CHECKS: Mapping[str, Callable[[Path, str], None]] = dict.fromkeys(_TASKS, _check_heart_disease)


def task_names() -> frozenset[str]:
    """Return the names of the installed tasks; imports none of them."""
    return frozenset(_TASKS)


def check_data(name: str, path: Path, holder: str) -> None:
    """Read a file as the task ``name`` would to train for a holder; needs none of its training libraries.

    Messages name file, line and column and quote nothing of the file: they may go to whoever helps.

    Raises:
        InputError: The task cannot train on it, or is not installed.
    """
    if name not in _CHECKS:
        raise InputError(f"the task {name!r} is not installed; there are: {', '.join(sorted(_TASKS))}.")
    _CHECKS[name](path, holder)
