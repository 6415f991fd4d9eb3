"""The server's step from one model to the next.

A step is a function of the model and the aggregate alone, elementwise and in fixed order, so that an auditor makes the same
bytes. ``fedavg`` is the only one whose result an auditor can recompute today; strategies with a state of their own (FedAdam)
need that state archived first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fl_core.errors import LocalProtocolError
from fl_core.models.tensors import Tensors, flatten, specs_of, unflatten

FEDAVG = "fedavg"
"""Federated averaging: model + weighted mean update (McMahan et al., AISTATS 2017, Algorithm 1, on differences)."""

STEPS = frozenset({FEDAVG})
"""Steps that terms may name."""


def apply_step(
    step: str, tensors: Tensors, update: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the next model: the sum in float64 of model and mean update, rounded once to float32.

    Args:
        step: Name of the step.
        tensors: The model that was trained from.
        update: Weighted mean update, ``(P,) float32``.

    Raises:
        LocalProtocolError: An unknown step, or shapes that do not fit.
    """
    if step not in STEPS:
        raise LocalProtocolError(f"there is no step {step!r}; known: {sorted(STEPS)}")
    vector = flatten(tensors)
    if vector.shape != update.shape:
        raise LocalProtocolError(f"the update has {update.size} values, the model {vector.size}")
    # numpy adds in float64 and rounds to the vector's own type, a cache's worth at a time: no copies of the whole in between
    np.add(vector, update, out=vector, dtype=np.float64, casting="same_kind")
    return unflatten(vector, specs_of(tensors))
