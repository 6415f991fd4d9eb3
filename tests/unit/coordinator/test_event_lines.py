"""Events as log lines: run, round and member as fields; no counter, and a name that two members share stays a name."""

from __future__ import annotations

import logging

from coordinator.event_lines import EventLines
from coordinator.store.events import EventLog

NAMES = {"01" * 20: "North", "02" * 20: "Twin", "03" * 20: "Twin"}


def told(caplog, events: list[tuple[str, dict[str, object]]], tmp_path) -> list[logging.LogRecord]:
    log = EventLog(tmp_path / "events.jsonl", EventLines("ab" * 32, NAMES).tell, None)
    with caplog.at_level(logging.INFO, logger="suture.coordinator"):
        for kind, values in events:
            log.emit(kind, **values)
    log.close()
    return caplog.records


def test_a_line_names_run_round_and_member_by_their_ids(caplog, tmp_path):
    [line] = told(caplog, [("contribution", {"round": 4, "holder": "North", "bytes": 700})], tmp_path)
    assert (line.run, line.round, line.event, line.member) == (
        "0x" + "ab" * 32,
        4,
        "contribution",
        "0x" + "01" * 20,
    )
    assert (line.getMessage(), line.levelno) == ("contribution: bytes 700", logging.INFO)


def test_what_deserves_attention_is_a_warning(caplog, tmp_path):
    events = [
        ("contribution-refused", {"round": 1, "holder": "Twin", "reason": "a check failed"}),
        ("run-failed", {"reason": "no ledger"}),
    ]
    refused, failed = told(caplog, events, tmp_path)
    assert (refused.levelno, refused.member) == (logging.WARNING, "Twin")
    assert "a check failed" in refused.getMessage()
    assert (failed.levelno, hasattr(failed, "round")) == (logging.ERROR, False)


def test_counters_of_a_round_are_in_no_line(caplog, tmp_path):
    values = {"round": 1, "included": 4, "counters": {"correct": 123_456}}
    [line] = told(caplog, [("round-finalised", values)], tmp_path)
    assert line.getMessage() == "round-finalised: included 4"
