"""Events: complete lines arrive once and in order; half-written ones never break a reader."""

from __future__ import annotations

import json
import threading

import pytest

from coordinator.store.events import EventLog, EventTail


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def kinds(tail):
    return [event["event"] for event in tail.new()]


def test_events_reach_the_file_and_the_listener_in_order(path):
    heard = []
    log = EventLog(path, None, heard.append, clock=lambda: 5.25)
    log.emit("opened", round=1, cohort=["a", "b"])
    log.emit("closed", round=1)
    log.close()
    assert heard == [
        {"event": "opened", "at": 5.25, "round": 1, "cohort": ["a", "b"]},
        {"event": "closed", "at": 5.25, "round": 1},
    ]
    assert [json.loads(line) for line in path.read_text().splitlines()] == heard


def test_a_tail_gives_every_event_once(path):
    tail, log = EventTail(path), EventLog(path)
    assert kinds(tail) == []
    log.emit("one")
    log.emit("two")
    assert kinds(tail) == ["one", "two"]
    assert kinds(tail) == []
    log.emit("three")
    assert kinds(tail) == ["three"]
    log.close()


def test_a_file_that_does_not_exist_yet_has_no_events(path):
    tail = EventTail(path)
    assert kinds(tail) == []
    log = EventLog(path)
    log.emit("first")
    assert kinds(tail) == ["first"]
    log.close()


def test_a_half_written_line_is_waited_for(path):
    tail, line = EventTail(path), b'{"event": "late", "name": "\xc3\xa9"}\n'
    for end in range(1, len(line)):
        path.write_bytes(line[:end])
        assert kinds(tail) == []
    path.write_bytes(line)
    assert kinds(tail) == ["late"]


def test_a_reader_that_stops_in_the_middle_goes_on_there(path):
    log, tail = EventLog(path), EventTail(path)
    for name in ("one", "two", "three"):
        log.emit(name)
    assert next(tail.new())["event"] == "one"
    assert kinds(tail) == ["two", "three"]
    log.close()


def test_a_line_that_a_crash_cut_off_costs_that_line_only(path):
    path.write_bytes(b'{"event": "before"}\n{"event": "cut o')
    tail = EventTail(path)
    assert kinds(tail) == ["before"]
    log = EventLog(path)
    log.emit("after")
    log.close()
    assert kinds(tail) == ["after"]
    assert kinds(EventTail(path)) == ["before", "after"]


@pytest.mark.parametrize(
    "line", [b"\n", b"null\n", b"[]\n", b"5\n", b'{"no": "event"}\n', b"\xff\n", b"{}\n"]
)
def test_lines_that_are_no_events_are_skipped(path, line):
    path.write_bytes(line + b'{"event": "good"}\n')
    assert kinds(EventTail(path)) == ["good"]


def test_an_event_that_cannot_be_written_leaves_no_half_line(path):
    log = EventLog(path)
    with pytest.raises(TypeError):
        log.emit("bad", value=object())
    log.emit("good")
    log.close()
    assert kinds(EventTail(path)) == ["good"]


def test_threads_write_whole_lines(path):
    log = EventLog(path)
    threads = [
        threading.Thread(target=lambda n=n: [log.emit("e", thread=n, text="x" * 500) for _ in range(20)])
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    events = list(EventTail(path).new())
    assert len(events) == 120
    assert {event["thread"] for event in events} == set(range(6))


def test_an_opened_log_appends(path):
    for name in ("first run", "second run"):
        log = EventLog(path)
        log.emit(name)
        log.close()
    assert kinds(EventTail(path)) == ["first run", "second run"]
    assert path.read_bytes().count(b"\n") == 2
