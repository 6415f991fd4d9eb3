"""The heart disease task: from a hospital's CSV file to scaled features, labels and a fixed division.

Columns and codes are those of the UCI data set (see ``data/ATTRIBUTION.md``); the choice of columns, of complete rows and of
the label is that of FLamby's Fed-Heart-Disease [Terrail22]. Unlike there, features are scaled by constants written below,
not by statistics of the data: a hospital need not agree with anybody on a mean, differences between hospitals stay
visible to the model, and the length of every feature vector has a bound (:data:`MAX_SQUARED_NORM`) that holds for any
patient whatever. Training's stability rests on that bound; see ``docs/explanation/quantisation.md``.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from clients.training.split import stratified_split
from fl_core.errors import InputError

BUNDLED = Path(__file__).with_name("data") / "heart_disease.csv"
"""The file that ships with Suture: 920 patients of four hospitals, 740 of them complete."""

MAX_FILE_BYTES = 1 << 26
"""Largest file that is read."""

MIN_ROWS = 10
"""Fewest complete patients a hospital must have."""

SCALES: Mapping[str, tuple[float, float]] = {
    "age": (50.0, 10.0),  # years
    "trestbps": (130.0, 20.0),  # resting blood pressure, mm Hg
    "chol": (220.0, 50.0),  # serum cholesterol, mg/dl; 0 where a hospital did not measure it
    "thalach": (140.0, 25.0),  # highest heart rate, 1/min
    "oldpeak": (1.0, 1.0),  # ST depression
}
"""Centre and width of each continuous feature: round numbers of clinical size, not statistics of this data."""

LIMIT = 4.0
"""Scaled continuous features are clamped to [-LIMIT, LIMIT]."""

BINARIES = ("sex", "fbs", "exang")
CHOICES: Mapping[str, tuple[int, ...]] = {"cp": (1, 2, 3, 4), "restecg": (0, 1, 2)}
"""Categories; each but the first becomes a feature that is 0 or 1."""

FEATURES = (
    *SCALES,
    *BINARIES,
    *(f"{name}={code}" for name, codes in CHOICES.items() for code in codes[1:]),
)
"""Names of the 13 features, in order."""

MAX_SQUARED_NORM = len(SCALES) * LIMIT**2 + len(BINARIES) + len(CHOICES) + 1
"""Bound on the squared Euclidean length of any feature vector with a 1 appended for the bias: 86."""

_COLUMNS = ("hospital", *SCALES, *BINARIES, *CHOICES, "num")


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Patients as a model sees them.

    Attributes:
        features: ``(n, 13) float32``.
        labels: ``(n,) float32``, 1 for heart disease and 0 for none.
    """

    features: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def joined(cls, parts: Iterable[Examples]) -> Examples:
        """Return the examples of all ``parts``, in order."""
        some = list(parts)
        return cls(
            np.concatenate([part.features for part in some]), np.concatenate([part.labels for part in some])
        )


@dataclass(frozen=True, slots=True, eq=False)
class Hospital:
    """One hospital's patients, divided for good.

    Attributes:
        name: As in the file.
        train: What models are trained on.
        test: What they are judged by, never trained on.
        incomplete: Patients left out because a value is missing.
    """

    name: str
    train: Examples
    test: Examples
    incomplete: int


def load_hospital(path: Path, name: str) -> Hospital:
    """Read the holder's patients. What is wrong is told without quoting the file, so that it can be shown to anybody.

    Args:
        path: A CSV file with at least the columns of the UCI data set that are used; it may hold other hospitals too.
        name: The hospital, as in the column ``hospital``. A file of one hospital is that hospital's, whatever the file calls it:
            a holder's name in a run need not be the one in its records.

    Raises:
        InputError: The file is missing, unreadable or lacks a column, a cell has no legal value, no row belongs to the
            hospital in a file of several, or too few of its rows are complete.
    """
    tables = _tables(read_csv(path), path)
    title = next(iter(tables)) if len(tables) == 1 else name
    if title not in tables:
        raise InputError(
            f"{path}: column 'hospital' holds {len(tables)} different names, and none of them is {name!r}.",
            fix="Leave only your own patients' lines in the file: with one name in that column, whatever it is, all are yours.",
        )
    return _hospital(str(path), title, tables[title])


def load_hospitals(path: Path = BUNDLED) -> dict[str, Hospital]:
    """Read the patients of every hospital in the file, in order of the hospitals' names.

    Raises:
        InputError: The file is missing, unreadable or lacks a column, a cell has no legal value, or a hospital has too few
            complete rows.
    """
    return parse_hospitals(read_csv(path), path)


def parse_hospitals(raw: bytes, path: Path) -> dict[str, Hospital]:
    """Read the patients of every hospital, as :func:`load_hospitals`.

    Args:
        raw: The file.
        path: Its name, for messages.
    """
    tables = _tables(raw, path)
    return {name: _hospital(f"{path}: hospital {name!r}", name, tables[name]) for name in sorted(tables)}


@dataclass(slots=True, eq=False)
class _Table:
    """Features and label of each complete row of a hospital, and how many rows are not complete."""

    patients: list[tuple[list[float], int]] = field(default_factory=list)
    incomplete: int = 0


def _tables(raw: bytes, path: Path) -> dict[str, _Table]:
    """Return the rows of each hospital by its name."""
    tables: dict[str, _Table] = {}
    for number, cells in _rows(raw, path):
        table = tables.setdefault(cells["hospital"], _Table())
        patient = _patient(path, number, cells)
        if patient is None:
            table.incomplete += 1
        else:
            table.patients.append(patient)
    if not tables:
        raise InputError(
            f"{path} names the columns and has no patients.",
            fix="Add a line for each patient below the first.",
        )
    return tables


def read_csv(path: Path) -> bytes:
    """Read a file, or a pipe, once.

    Raises:
        InputError: It is missing, unreadable or too large.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}.", fix="Check the path and the file's permissions."
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise InputError(f"{path} has more than {MAX_FILE_BYTES} bytes.", fix="Give a smaller file.")
    return raw


def _rows(raw: bytes, path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the cells of every row of the file; blank lines are passed over."""
    reader = csv.reader(io.StringIO(_text(raw, path), newline=""), strict=True)
    try:
        header = next(reader, [])
        missing = [column for column in _COLUMNS if header.count(column) != 1]
        if missing:
            raise InputError(
                f"{path} must have each of these columns once: {', '.join(missing)}.",
                fix="The first line names the columns: hospital,age,sex,cp,... as in the UCI data set.",
            )
        for cells in filter(None, reader):
            if len(cells) != len(header):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(header)} cells were expected, {len(cells)} came.",
                    fix="Every line has one cell for each column; leave a cell empty where the value is missing.",
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: this is not a CSV file ({error}).",
            fix="Export the table as CSV (UTF-8).",
        ) from error


def _text(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}, line {line}: this is not UTF-8.", fix="Export the table as CSV (UTF-8)."
        ) from None  # the cause quotes the file


def _patient(path: Path, number: int, cells: Mapping[str, str]) -> tuple[list[float], int] | None:
    """Return features and label of one row, or ``None`` if a value is missing."""
    values = {column: _number(path, number, column, cells[column]) for column in _COLUMNS[1:]}
    complete = {column: value for column, value in values.items() if value is not None}
    allowed = {name: (0, 1) for name in BINARIES} | dict(CHOICES) | {"num": (0, 1, 2, 3, 4)}
    for column, codes in allowed.items():
        if column in complete and complete[column] not in codes:
            raise InputError(
                f"{path}, line {number}: column {column!r} must be one of {', '.join(map(str, codes))}.",
                fix="Use the codes of the UCI data set, or leave the cell empty if the value is missing.",
            )
    if len(complete) < len(values):
        return None
    features = [
        max(-LIMIT, min(LIMIT, (complete[column] - centre) / width))
        for column, (centre, width) in SCALES.items()
    ]
    features += [complete[column] for column in BINARIES]
    features += [float(complete[column] == code) for column, codes in CHOICES.items() for code in codes[1:]]
    return features, int(complete["num"] > 0)


def _number(path: Path, number: int, column: str, cell: str) -> float | None:
    """Read one cell; an empty one is a missing value. The message does not repeat it: it may describe a patient."""
    if not cell.strip():
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{path}, line {number}: column {column!r} does not hold a number.",
            fix="Correct the cell, or leave it empty if the value is missing.",
        )
    return value


def _hospital(whose: str, name: str, table: _Table) -> Hospital:
    """Divide a hospital's patients; ``whose`` they are begins the message if they are too few."""
    if len(table.patients) < MIN_ROWS:
        raise InputError(
            f"{whose} has {len(table.patients)} complete rows; at least {MIN_ROWS} are needed.",
            fix=f"Add patients; {table.incomplete} rows were left out because a value is missing.",
        )
    features = np.array([values for values, _ in table.patients], dtype=np.float32)
    labels = np.array([label for _, label in table.patients], dtype=np.float32)
    parts = stratified_split([label for _, label in table.patients], name.encode())
    train, test = (Examples(features[list(part)], labels[list(part)]) for part in parts)
    return Hospital(name, train, test, table.incomplete)
