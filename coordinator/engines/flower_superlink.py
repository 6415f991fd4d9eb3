"""Flower's SuperLink, patient with its database: ``python -m`` this module takes the arguments of ``flower-superlink``.

SQLite lets one connection write at a time, and Flower's wait :data:`FLOWERS_S` seconds for their turn. Where many hospitals hand in
updates of tens of megabytes at once, that is too short on a slow disk: the call ends as "database is locked", status 500, and a
SuperExec that meets it dies. So every connection waits :data:`PATIENCE_S` seconds here. Nothing else of Flower is changed.
"""

from __future__ import annotations

import sys

from coordinator.engines import environment  # noqa: F401 - sets Flower's variables before Flower is imported

FLOWERS_S, PATIENCE_S = 5, 60
BUSY_TIMEOUT = "busy_timeout"
"""SQLite's setting in milliseconds, https://www.sqlite.org/pragma.html#pragma_busy_timeout."""


def be_patient() -> None:
    """Have connections that this process opens from now on wait; call it before Flower's SuperLink is imported.

    Raises:
        AttributeError: This Flower keeps its settings of SQLite elsewhere; the tests would have said so.
    """
    from flwr.supercore import constant

    settings = [
        (name, str(PATIENCE_S * 1000) if name == BUSY_TIMEOUT else value)
        for name, value in constant.SQLITE_PRAGMAS
    ]
    constant.SQLITE_PRAGMAS = tuple(settings)  # type: ignore[assignment]


def main() -> None:
    """Run the SuperLink until it is ended."""
    be_patient()
    from flwr.superlink.cli import flower_superlink

    sys.argv[0] = "flower-superlink"
    flower_superlink()


if __name__ == "__main__":
    main()
