"""The records of one hospital of the data set that ships with Suture."""

from __future__ import annotations

from clients.training.heart_disease import BUNDLED


def own_records(hospital: str = "Cleveland") -> bytes:
    """Return the table of one hospital."""
    columns, *rows = BUNDLED.read_bytes().splitlines(keepends=True)
    return columns + b"".join(row for row in rows if row.startswith(hospital.encode()))
