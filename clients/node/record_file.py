"""The file of a data set's records: a CSV file, a record a line, the first line names the columns.

Read line by line, so its size does not matter for memory.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from fl_core.errors import InputError

MAX_LINE = 1 << 20  # bytes of one record
_PRIVATE = 0o600


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file: its lines but for the first.

    Raises:
        InputError: It cannot be read, or a line is longer than :data:`MAX_LINE`.
    """
    try:
        with path.open("rb") as file:
            for number in range(1 << 62):
                line = file.readline(MAX_LINE + 1)
                if not line:
                    return
                if len(line) > MAX_LINE:
                    raise InputError(f"line {number + 1} of {path} is longer than {MAX_LINE} bytes.")
                if number:
                    yield line.removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}).", fix="Check path and permissions."
        ) from error


def copy_records(source: Path, target: Path) -> None:
    """Copy a file so that it is on disk, readable by its owner only; ``target`` must not exist."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with source.open("rb") as read, os.fdopen(descriptor, "wb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fsync(written.fileno())


def check_lines(source: Path) -> str:
    """Check that every record of a CSV file is one line of as many fields as there are columns; return the first line.

    Raises:
        InputError: It is not, or cannot be read.
    """
    try:
        with source.open("r", encoding="utf-8", newline="") as file:
            header = file.readline(MAX_LINE).rstrip("\r\n")
            columns = len(next(csv.reader([header], strict=True), []))
            _check_rows(source, file, columns)
    except OSError as error:
        raise InputError(
            f"{source} cannot be read ({error.strerror}).", fix="Check path and permissions."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{source} is no CSV file in UTF-8 ({error}).", fix="Save it as CSV in UTF-8."
        ) from error
    return header


def _check_rows(source: Path, lines: Iterable[str], columns: int) -> None:
    rows = csv.reader(lines, strict=True)
    count = 0
    for count, row in enumerate(rows, 1):
        if rows.line_num != count:
            raise InputError(
                f"{source}, line {count + 1}: a field holds a line break.", fix="A record has to be one line."
            )
        if len(row) != columns:
            raise InputError(
                f"{source}, line {count + 1}: {len(row)} fields, the first line names {columns} columns.",
                fix="Mend that line.",
            )
    if not count:
        raise InputError(
            f"{source} holds no record.", fix="The first line names the columns, the others are records."
        )
