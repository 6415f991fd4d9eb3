"""What the demo needs from all hospitals at once: their files, and what their model is compared with.

Only a demonstration on public data can do this. In reality nobody sees more than one hospital's file, and the accuracies of
local-only and pooled training are not known to anybody.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from clients.training.tasks import Settings
from fl_core.errors import InputError
from fl_core.models import decode_model

MAX_MODEL_BYTES = 1 << 24


def bundled_csv() -> Path:
    """Return the CSV file that ships with Suture: 920 patients of four hospitals."""
    from clients.training.heart_disease import BUNDLED

    return BUNDLED


def read_csv(path: Path) -> bytes:
    """Read a CSV file once; it may be a pipe.

    Raises:
        InputError: It is missing, unreadable or too large.
    """
    from clients.training.heart_disease import read_csv

    return read_csv(path)


def hospital_files(table: bytes, path: Path) -> dict[str, bytes]:
    """Divide a CSV file by its column ``hospital``; every cell is checked on the way.

    Args:
        table: The file.
        path: Its name, for messages.

    Returns:
        Hospital -> CSV file with its rows, in the order of the names.

    Raises:
        InputError: The file is malformed; says which row and how to mend it.
    """
    from clients.training.heart_disease import parse_hospitals

    names = parse_hospitals(table, path)
    header, *rows = filter(None, csv.reader(io.StringIO(table.decode("utf-8-sig"), newline="")))
    column = header.index("hospital")
    return {name: _table(header, [row for row in rows if row[column] == name]) for name in names}


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def choose(available: Sequence[str], wanted: str) -> list[str]:
    """Return the hospitals that an option names: a number of them, or names separated by commas.

    Raises:
        InputError: There are not that many, one does not exist, or one is named twice.
    """
    listing = ", ".join(available)
    if wanted.strip().isdecimal():
        count = int(wanted)
        if not 1 <= count <= len(available):
            raise InputError(f"there are {len(available)} hospitals ({listing}), not {count}.")
        return list(available[:count])
    folded = {name.casefold(): name for name in available}
    names = [part.strip() for part in wanted.split(",")]
    if any(name not in available and name.casefold() not in folded for name in names):
        raise InputError(f"{wanted!r} does not name hospitals, each once.", fix=f"There are: {listing}.")
    chosen = [name if name in available else folded[name.casefold()] for name in names]
    twice = sorted({name for name in chosen if chosen.count(name) > 1})
    if twice:
        raise InputError(f"{wanted!r} names {twice[0]} twice.", fix="Name each hospital once.")
    return chosen


def compare(
    table: bytes, hospitals: Sequence[str], model: bytes, *, settings: Settings, rounds: int
) -> Mapping[str, object]:
    """Judge a federation's model on the pooled test split, beside what the hospitals could do alone or all in one place.

    Args:
        table: The CSV file.
        hospitals: Who took part.
        model: The federation's model file.
        settings: The task's settings.
        rounds: Rounds of local updates that every compared model gets.

    Returns:
        ``federated``, ``pooled``, ``local`` (hospital -> accuracy), ``test_examples``; accuracies in [0, 1].
    """
    import torch

    from clients.training.baselines import Plan, local_only, pooled
    from clients.training.heart_disease import Examples, parse_hospitals
    from clients.training.local import evaluate

    torch.set_num_threads(1)
    loaded = parse_hospitals(table, Path("the data"))
    chosen = [loaded[name] for name in hospitals]
    test = Examples.joined(hospital.test for hospital in chosen)
    plan = Plan(
        seed=int(settings["seed"]),
        rounds=rounds,
        updates=int(settings["updates"]),
        batch_size=int(settings["batch_size"]),
        learning_rate=float(settings["learning_rate"]),
    )
    return {
        "federated": evaluate(decode_model(model, MAX_MODEL_BYTES), test).accuracy,
        "pooled": evaluate(pooled(chosen, plan), test).accuracy,
        "local": {hospital.name: evaluate(local_only(hospital, plan), test).accuracy for hospital in chosen},
        "test_examples": len(test),
    }
