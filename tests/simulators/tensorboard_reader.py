"""What TensorBoard shows of a folder, by its own reader."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Scalar(NamedTuple):
    wall_time: float
    step: int
    value: float


def scalars(logdir: Path) -> dict[str, dict[str, list[Scalar]]]:
    """Return run -> curve -> its points."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    found: dict[str, dict[str, list[Scalar]]] = {}
    for run in sorted(path for path in logdir.iterdir() if path.is_dir()):
        reader = EventAccumulator(str(run), size_guidance={"tensors": 0})
        reader.Reload()
        found[run.name] = {
            tag: [
                Scalar(e.wall_time, e.step, float(make_ndarray(e.tensor_proto))) for e in reader.Tensors(tag)
            ]
            for tag in reader.Tags()["tensors"]
        }
    return found
