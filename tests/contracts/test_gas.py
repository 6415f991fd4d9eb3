"""What a round costs, for every size of the included set."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contracts.gas_snapshot import PATH, SIZES, measure

GOAL = 500_000
"""Gas of all four transactions of a round, once the run has had its first."""


@pytest.fixture(scope="module")
def measured() -> Any:
    """The figures of today's artifacts."""
    return json.loads(json.dumps(measure()))


def test_a_round_stays_within_the_goal(measured: Any) -> None:
    totals = measured["later rounds, in all"]
    for size, total in totals.items():
        print(f"included set of {size:>5}: {total} gas per round")
    assert max(totals.values()) <= GOAL


def test_a_round_costs_the_same_for_every_size_of_the_included_set(measured: Any) -> None:
    totals = [measured["later rounds, in all"][str(size)] for size in SIZES]
    assert max(totals) <= 1.01 * min(totals)


def test_the_reviewed_snapshot_is_what_the_artifacts_cost(measured: Any) -> None:
    # after a change that is meant: python -m tests.contracts.gas_snapshot
    assert measured == json.loads(PATH.read_text("utf-8"))
