from __future__ import annotations

import threading
import time

import httpx
import pytest
from flwr.app import Error

from coordinator.engines.exchange import MAX_DETAIL, PULLS, Answer, Why, connected, exchange, read_error
from coordinator.engines.local import LocalGrid
from coordinator.errors import GridFailed
from coordinator.streaming import StreamingGrid
from tests.simulators.scripted_grid import SLOW_S, Clock, ScriptedGrid
from tests.simulators.toy_app import ask, client


def run(script, *, deadline_s=100.0, patience_s=5.0, **options) -> tuple[list[Answer], ScriptedGrid, Clock]:
    clock = Clock()
    grid = ScriptedGrid(clock, script)
    answers = exchange(
        grid,
        grid.messages(),
        deadline_s=deadline_s,
        clock=clock,
        sleep=clock.sleep,
        patience_s=patience_s,
        **options,
    )
    try:
        return list(answers), grid, clock
    finally:
        grid.release.set()


def test_answers_come_in_the_order_of_arrival_one_for_each_message():
    answers, _, _ = run({1: 9.0, 2: 1.0, 3: 5.0})
    assert [(answer.node_id, answer.why) for answer in answers] == [(n, Why.ANSWERED) for n in (2, 3, 1)]
    assert [answer.reply.content["from"]["node"] for answer in answers] == [2, 3, 1]


def test_no_messages_give_no_answers():
    answers, _, clock = run({})
    assert answers == []
    assert clock.sleeps == []


def test_at_most_a_window_of_messages_is_unanswered():
    answers, grid, _ = run({node: float(node) for node in range(1, 9)}, window=3)
    assert len(answers) == 8
    assert grid.unanswered_most == 3


def lazily(grid, made):
    """The grid's messages, each noted in ``made`` when it is taken."""
    for message in grid.messages():
        made.append(message.metadata.dst_node_id)
        yield message


def test_one_message_more_than_the_window_holds_is_made_at_most():
    clock, made = Clock(), []
    grid = ScriptedGrid(clock, {node: float(node) for node in range(1, 10)})
    answers = exchange(grid, lazily(grid, made), deadline_s=100.0, window=2, clock=clock, sleep=clock.sleep)
    assert len(made) <= 1
    for answered, answer in enumerate(answers, 1):
        assert answer.why is Why.ANSWERED
        assert len(made) <= answered + 2 + 1
    assert made == list(range(1, 10))


def test_messages_that_are_not_yet_made_at_the_deadline_are_made_one_by_one_and_answered_with_it():
    clock, made = Clock(), []
    grid = ScriptedGrid(clock, dict.fromkeys(range(1, 10), "never"))
    answers = exchange(grid, lazily(grid, made), deadline_s=5.0, window=2, clock=clock, sleep=clock.sleep)
    first = next(answers)
    assert made == [1, 2, 3]
    assert [(a.node_id, a.why) for a in [first, *answers]] == [(n, Why.DEADLINE) for n in range(1, 10)]
    assert grid.pushed == [1, 2]


def test_a_caller_that_leaves_makes_no_further_messages():
    clock, made = Clock(), []
    grid = ScriptedGrid(clock, {1: 0.0, **dict.fromkeys(range(2, 10), "never")})
    answers = exchange(grid, lazily(grid, made), deadline_s=5.0, window=1, clock=clock, sleep=clock.sleep)
    assert next(answers).node_id == 1
    answers.close()
    assert made == [1, 2]


def test_without_a_window_all_messages_are_sent_before_the_first_answer():
    _, grid, _ = run({node: float(node) for node in range(1, 9)})
    assert grid.unanswered_most == 8


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        run({1: 1.0}, window=0)


def test_a_reply_is_pulled_only_when_the_caller_asks_for_it():
    clock = Clock()
    grid = ScriptedGrid(clock, {1: 0.0, 2: 0.0, 3: 0.0})
    answers = exchange(grid, grid.messages(), deadline_s=10.0, clock=clock, sleep=clock.sleep)
    assert grid.pushed == []
    for expected in (1, 2, 3):
        next(answers)
        assert len(grid.pulled) == expected


def test_a_caller_that_has_enough_can_leave():
    clock = Clock()
    grid = ScriptedGrid(clock, {1: 0.0, 2: "never"})
    answers = exchange(grid, grid.messages(), deadline_s=1e9, clock=clock, sleep=clock.sleep)
    assert next(answers).node_id == 1
    answers.close()
    assert clock.now == 1000.0


def test_who_has_not_answered_by_the_deadline_is_told_and_no_later():
    answers, _, clock = run({1: 1.0, 2: "never", 3: 51.0}, deadline_s=50.0)
    assert {answer.node_id: answer.why for answer in answers} == {
        1: Why.ANSWERED,
        2: Why.DEADLINE,
        3: Why.DEADLINE,
    }
    assert clock.now == pytest.approx(1050.0)


def test_messages_that_the_window_held_back_to_the_end_are_answered_too():
    answers, grid, _ = run({1: "never", 2: 0.0}, deadline_s=5.0, window=1)
    assert [(answer.node_id, answer.why) for answer in answers] == [(1, Why.DEADLINE), (2, Why.DEADLINE)]
    assert grid.pushed == [1]


def test_looks_become_rarer_while_nothing_arrives_and_frequent_again_after_an_arrival():
    _, _, clock = run({1: 20.0, 2: 22.0})
    first_arrival = next(i for i in range(1, len(clock.sleeps)) if clock.sleeps[i] < clock.sleeps[i - 1])
    assert clock.sleeps[first_arrival - 1] == 0.5
    assert clock.sleeps[0] < 0.01
    assert clock.sleeps[first_arrival] < 0.01


@pytest.mark.parametrize("refusal", ["", None])
def test_a_message_that_the_grid_refuses_is_answered_at_once(refusal):
    answers, _, _ = run({1: refusal, 2: 1.0})
    assert [(answer.node_id, answer.why) for answer in answers] == [(1, Why.REFUSED), (2, Why.ANSWERED)]


def test_a_pull_that_does_not_come_back_holds_up_nobody_else():
    answers, _, _ = run({1: "stuck pull", 2: 1.0, 3: 2.0}, deadline_s=10.0, patience_s=0.05)
    assert [(answer.node_id, answer.why) for answer in answers] == [
        (2, Why.ANSWERED),
        (3, Why.ANSWERED),
        (1, Why.DEADLINE),
    ]


@pytest.mark.parametrize(("frozen", "deadline_s"), [(4, 60.0), (12, 90.0), (60, 90.0), (20, 3600.0)])
def test_nodes_that_freeze_do_not_use_up_the_time_of_the_others(frozen, deadline_s):
    script = {**dict.fromkeys(range(frozen), "stuck pull"), **dict.fromkeys(range(500, 504), 0.0)}
    answers, _, _ = run(script, deadline_s=deadline_s, patience_s=0.001)
    assert sorted(answer.node_id for answer in answers if answer.why is Why.ANSWERED) == [500, 501, 502, 503]


def test_a_pull_is_waited_for_no_longer_than_its_part_of_the_time():
    clock = Clock()
    grid = ScriptedGrid(clock, dict.fromkeys(range(9), "stuck pull") | {9: 0.0})
    started = time.monotonic()
    answers = list(exchange(grid, grid.messages(), deadline_s=2.0, patience_s=5.0))
    grid.release.set()
    assert [answer.node_id for answer in answers if answer.why is Why.ANSWERED] == [9]
    assert time.monotonic() - started < 4.0


def test_slow_uploads_are_pulled_a_few_at_a_time():
    script = dict.fromkeys(range(3 * PULLS), "slow pull")
    answers, grid, _ = run(script, deadline_s=50 * SLOW_S, patience_s=0.01)
    assert {answer.why for answer in answers} == {Why.ANSWERED}
    assert 1 < grid.under_way_most <= PULLS


def test_a_push_that_does_not_come_back_ends_with_the_deadline():
    clock = Clock()
    grid = ScriptedGrid(clock, {1: "stuck push"})
    started = time.monotonic()
    answers = list(exchange(grid, grid.messages(), deadline_s=0.2))
    grid.release.set()
    assert [(answer.node_id, answer.why) for answer in answers] == [(1, Why.DEADLINE)]
    assert time.monotonic() - started < 2.0


def test_threads_that_are_left_behind_are_daemons():
    clock = Clock()
    grid = ScriptedGrid(clock, {1: "stuck pull"})
    list(exchange(grid, grid.messages(), deadline_s=0.1, patience_s=0.01))
    left = [thread for thread in threading.enumerate() if thread.name == "grid-call"]
    grid.release.set()
    assert left
    assert all(thread.daemon for thread in left)


def test_a_superlink_that_fails_for_the_moment_is_asked_again():
    answers, grid, _ = run({1: "busy", 2: 1.0}, pauses_s=(0.01,) * 2)
    assert sorted((answer.node_id, answer.why) for answer in answers) == [
        (1, Why.ANSWERED),
        (2, Why.ANSWERED),
    ]
    assert grid.pushed == [1, 1, 2]
    assert grid.failing == {"push": 0, "pull": 0}


def test_a_superlink_that_keeps_failing_breaks_the_exchange():
    with pytest.raises(GridFailed, match="pull a reply: HTTPStatusError: database is locked"):
        run({1: "busy"}, pauses_s=(0.01,))


class Naming:
    """A grid that fails ``failures`` times before it names its nodes."""

    def __init__(self, failures: int, status: int = 500) -> None:
        self.failures, self.status = failures, status

    def get_node_ids(self) -> list[int]:
        if self.failures:
            self.failures -= 1
            request = httpx.Request("POST", "https://superlink.test")
            answer = httpx.Response(self.status, request=request)
            raise httpx.HTTPStatusError("database is locked", request=request, response=answer)
        return [1, 2]


def test_the_connected_nodes_are_asked_for_again_while_the_superlink_fails_for_the_moment():
    assert connected(Naming(2), pauses_s=(0.01,) * 2) == [1, 2]
    assert list(StreamingGrid(Naming(1), window=None, poll_s=0.1, lost=print).get_node_ids()) == [1, 2]
    with pytest.raises(GridFailed, match="name its nodes: HTTPStatusError: database is locked"):
        connected(Naming(3), pauses_s=(0.01,) * 2)
    with pytest.raises(GridFailed, match="name its nodes"):
        connected(refused := Naming(2, 403), pauses_s=(0.01,) * 2)
    assert refused.failures == 1, "what is refused is not asked again"


def test_a_grid_that_breaks_is_an_error_with_its_cause():
    with pytest.raises(GridFailed, match="the SuperLink is gone") as caught:
        run({1: "broken"})
    assert isinstance(caught.value.__cause__, ConnectionError)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (1, Why.NOT_LOADED),
        (2, Why.RAISED),
        (3, Why.LOST),
        (4, Why.LOST),
        (5, Why.OFFLINE),
        (6, Why.FAILED),
        (7, Why.BUNDLE_REFUSED),
        (8, Why.CRASHED),
        (999, Why.FAILED),
    ],
)
def test_a_nodes_error_is_an_answer_without_a_reply(code, why):
    [answer], _, _ = run({1: Error(code, "what the node said")})
    assert (answer.node_id, answer.reply, answer.why) == (1, None, why)
    assert "what the node said" in answer.detail


def test_a_nodes_text_is_cut_and_loses_its_control_characters():
    why, detail = read_error(Error(2, "bad\n\x1b[31mred" + "x" * 5000))
    assert why is Why.RAISED
    assert len(detail) == MAX_DETAIL
    assert detail.isprintable()


def test_an_error_without_a_text_has_an_empty_one():
    assert read_error(Error(5)) == (Why.OFFLINE, "")


def test_the_same_exchange_runs_over_the_local_grid():
    with LocalGrid(client, [{"position": position} for position in range(3)], {}) as grid:
        answers = list(exchange(grid, [ask(node, factor=2) for node in grid.get_node_ids()], deadline_s=10.0))
    assert sum(answer.reply.content["answer"]["number"] for answer in answers) == 6


def test_large_replies_arrive_whole_through_a_window_of_one():
    with LocalGrid(client, [{"position": position} for position in range(3)], {}) as grid:
        messages = [ask(node, "train") for node in grid.get_node_ids()]
        arrays = [
            answer.reply.content["update"]["data"].data
            for answer in exchange(grid, messages, deadline_s=30.0, window=1)
        ]
    assert [(len(data), data[0]) for data in arrays] == [
        (12 * 1024 * 1024, position) for position in range(3)
    ]
