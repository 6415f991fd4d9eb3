"""How rounds and commands are timed."""

from __future__ import annotations

import sys

import pytest

from benchmarks.measurement import BenchmarkError
from benchmarks.processes import module, script, timed
from benchmarks.round_times import durations


def closing(number: int) -> dict[str, object]:
    return {"event": "round-finalised", "round": number, "ledger_ms": 5.0}


def test_a_round_lasts_from_the_end_of_the_one_before_and_the_first_is_not_counted() -> None:
    seen = [
        (1.0, {"event": "enrolled"}),
        (4.0, closing(1)),
        (4.5, {"event": "round-opened", "round": 2}),
        (6.0, closing(2)),
        (9.0, closing(3)),
        (9.5, {"event": "run-finished"}),
    ]
    assert [(entry["round"], entry["wall_s"], entry["ledger_ms"]) for entry in durations(seen)] == [
        (2, 2.0, 5.0),
        (3, 3.0, 5.0),
    ]


def test_of_one_round_nothing_can_be_told() -> None:
    assert durations([(1.0, closing(1))]) == []


def test_a_command_is_timed_and_its_output_kept() -> None:
    done = timed([sys.executable, "-c", "import time; time.sleep(0.2); print('here')"])
    assert done.output == "here\n"
    assert 0.2 <= done.seconds < 20


def test_a_command_that_fails_is_an_error_with_the_end_of_what_it_said() -> None:
    with pytest.raises(BenchmarkError, match="ended with 3: no luck"):
        timed([sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"])


def test_commands_are_those_installed_beside_this_python() -> None:
    assert script("suture")[0].endswith("suture")
    assert module("benchmarks") == [sys.executable, "-m", "benchmarks"]
    with pytest.raises(BenchmarkError, match="Install the project"):
        script("no-such-command-of-ours")
