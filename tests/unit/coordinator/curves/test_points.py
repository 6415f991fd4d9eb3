"""What is plotted: one point a curve and round, of rounds as a whole, and nothing of a single holder."""

from __future__ import annotations

from typing import Any

from coordinator.curves.points import Point, Points


def opened(number: int, **more: Any) -> dict[str, Any]:
    return {"event": "round-opened", "at": 1.0, "round": number, "cohort": ["a", "b", "c"], **more}


def contribution(number: int, holder: str, size: int) -> dict[str, Any]:
    return {"event": "contribution", "at": 2.0, "round": number, "holder": holder, "bytes": size}


def finalised(number: int, **more: Any) -> dict[str, Any]:
    return {"event": "round-finalised", "at": 3.0, "round": number, "included": 2, **more}


def points(*events: dict[str, Any]) -> list[Point]:
    taker = Points()
    return [point for event in events for point in taker.take(event)]


def values(found: list[Point], step: int) -> dict[str, float]:
    chosen = [point for point in found if point.step == step]
    assert len({point.tag for point in chosen}) == len(chosen), "one point a curve and round"
    return {point.tag: point.value for point in chosen}


def test_a_rounds_points_come_with_its_end_and_say_what_its_events_say():
    found = points(
        opened(1, budget_spent=40),
        contribution(1, "a", 700),
        contribution(1, "b", 800),
        {"event": "contribution-lost", "round": 1, "holder": "c", "reason": "late"},
        {"event": "answer-refused", "round": 1, "holder": "c", "reason": "wrong"},
        finalised(
            1, failed_elements=0, blamed=["c"], liars=[], gas=500_000, train_ms=1500.0, ledger_ms=20.5,
            counters={"test-correct": 30, "test-total": 40, "epochs": 3},
        ),
    )  # fmt: skip
    assert values(found, 1) == {
        "round/made_model": 1, "round/models": 1, "round/contributions": 2, "bytes/contributions": 1500,
        "round/included": 2, "round/failed_elements": 0, "round/blamed": 1, "round/liars": 0,
        "lost/contributions": 1, "lost/contributions_refused": 0, "lost/answers": 0, "lost/answers_refused": 1,
        "cost/gas": 500_000, "privacy/budget_spent": 40, "seconds/train": 1.5, "seconds/ledger": 0.0205,
        "counters/test-correct": 30, "counters/test-total": 40, "counters/epochs": 3, "accuracy/test": 0.75,
    }  # fmt: skip
    assert {point.at for point in found} == {3.0}


def test_a_round_that_made_no_model_has_a_point_and_no_accuracy():
    found = points(opened(1), contribution(1, "a", 5), {"event": "round-failed", "round": 1, "reason": "too few"}, opened(2), finalised(2))  # fmt: skip
    assert values(found, 1)["round/made_model"] == 0
    assert not {tag for tag in values(found, 1) if tag.startswith(("accuracy", "counters", "seconds"))}
    assert values(found, 2)["round/models"] == 1
    assert found[0].at == 0.0, "an event without a time"


def test_a_resumed_run_has_one_point_a_round_and_an_attempt_without_a_round_has_none():
    crashed = [opened(1), finalised(1), opened(2), contribution(2, "a", 5), contribution(2, "b", 5)]
    resumed = [
        {"event": "enrolled", "holders": ["a", "b", "c"]},
        {"event": "round-failed", "round": 1, "reason": "0 nodes are at hand"},  # counts from 1 again; opened no round
        opened(3), contribution(3, "a", 7), finalised(3),
    ]  # fmt: skip
    found = points(*crashed, *resumed)
    assert {point.step for point in found} == {1, 3}
    assert values(found, 3)["bytes/contributions"] == 7, (
        "what a crash cut off is not counted for the next round"
    )
    assert values(found, 1)["round/made_model"] == 1


def test_a_round_that_ends_twice_counts_once():
    twice = points(opened(1), finalised(1), finalised(1), opened(1), finalised(1))
    assert twice == points(opened(1), finalised(1))


def test_no_holder_is_in_a_name_and_no_single_size_is_a_value():
    found = points(opened(1), contribution(1, "North", 701), contribution(1, "South", 809), finalised(1))
    assert not any("North" in point.tag or "South" in point.tag for point in found)
    assert {701.0, 809.0}.isdisjoint({point.value for point in found})
