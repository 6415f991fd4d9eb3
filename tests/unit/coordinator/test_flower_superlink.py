"""The SuperLink that waits for its database."""

from __future__ import annotations

import subprocess
import sys

PRAGMAS = """
from coordinator.engines import flower_superlink
if {patient}:
    flower_superlink.be_patient()
import sqlite3
from flwr.supercore.sql_mixin import _set_sqlite_pragmas
connection = sqlite3.connect({path!r})
_set_sqlite_pragmas(connection, None)
for name in ("busy_timeout", "journal_mode", "foreign_keys"):
    print(connection.execute(f"PRAGMA {{name}}").fetchone()[0])
"""


def settings(tmp_path, *, patient: bool) -> list[str]:
    """What a connection of Flower's is set to, in a process of its own: Flower reads the settings when it is imported."""
    program = PRAGMAS.format(patient=patient, path=str(tmp_path / "state.sqlite"))
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600
    ).stdout.split()


def test_a_connection_waits_a_minute_and_is_otherwise_flowers_own(tmp_path):
    assert settings(tmp_path, patient=True) == ["60000", "wal", "1"]
    assert settings(tmp_path, patient=False) == ["5000", "wal", "1"], "what Flower does by itself"


def test_it_takes_flowers_arguments():
    result = subprocess.run(
        [sys.executable, "-P", "-m", "coordinator.engines.flower_superlink", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    assert result.stdout.startswith("usage: flower-superlink")
    assert "--superexec-auth-secret-file" in result.stdout
