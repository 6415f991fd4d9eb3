"""What a round costs, for every size of the included set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gas
from tests.contracts.gas_snapshot import PATH, SIZES, measure

GOAL = 500_000
"""Gas of all four transactions of a round."""


@pytest.fixture(scope="module")
def measured() -> Any:
    """The figures of today's artifacts."""
    return json.loads(json.dumps(measure()))


def test_a_round_stays_within_the_goal(measured: Any) -> None:
    totals = measured["later rounds, in all"]
    for size, total in totals.items():
        print(f"included set of {size:>5}: {total} gas per round")
    assert max(totals.values()) <= GOAL
    assert max(sum(parts.values()) for parts in measured["first round of a run"].values()) <= GOAL


def test_a_round_costs_the_same_for_every_size_of_the_included_set(measured: Any) -> None:
    totals = [measured["later rounds, in all"][str(size)] for size in SIZES]
    assert max(totals) <= 1.01 * min(totals)


def test_the_reviewed_snapshot_is_what_the_artifacts_cost(measured: Any) -> None:
    # after a change that is meant: python -m tests.contracts.gas_snapshot
    assert measured == json.loads(PATH.read_text("utf-8"))


def test_the_documentation_quotes_the_snapshot() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "contracts.md").read_text("utf-8")
    snapshot = json.loads(PATH.read_text("utf-8"))
    first, later = (snapshot[name]["4"] for name in ("first round of a run", "later rounds"))
    for function, used in later.items():
        assert f"| `{function}` | {used:,} |" in text
    assert f"| **round, in all** | **{sum(later.values()):,}** |" in text
    assert f"A run's first round costs {sum(first.values()):,}," in text


def test_the_table_puts_one_record_per_client_beside_a_round() -> None:
    four, more = gas.measure((4, gas.EXECUTED + 1))
    assert four.executed and not more.executed
    assert four.naive > 4 * 70_000 and more.naive > 100 * 70_000
    assert abs(four.total - more.total) <= 0.01 * four.total
    lines = gas.table([four, more]).splitlines()
    assert lines[1].split()[-1] == f"{four.naive:,}"
    assert lines[2].endswith(f"{more.naive:,}*")
