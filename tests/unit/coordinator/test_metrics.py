"""Metrics of a run: what its events, its outbox and its ledger say, and no holder's name."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from coordinator.metrics import Head, RunMetrics, outbox_depth
from coordinator.store.events import EventLog
from ledger.outbox_file import OutboxFile
from tests.architecture.sources import ROOT

NEWEST = Head(number=7, made=90)
CLOSING = {"train_ms": 1500.0, "ledger_ms": 250.0}


def metrics(folder: Path, head: Head | None = NEWEST) -> RunMetrics:
    return RunMetrics(folder, lambda: head, lambda: 100.0)


def test_rounds_bytes_refusals_and_times_are_counted_as_the_events_come(tmp_path):
    log, found = EventLog(tmp_path / "events.jsonl"), metrics(tmp_path)
    log.emit("round-opened", round=1)
    log.emit("contribution", round=1, holder="Hospital", bytes=700)
    log.emit("contribution-refused", round=1, holder="Hospital", reason="a check failed")
    assert 'suture_run_phase{phase="training"} 1' in found.text()
    log.emit("sets-committed", round=1)
    log.emit("round-finalised", round=1, **CLOSING)
    log.emit("round-failed", round=2, reason="too few")
    log.close()
    lines = found.text().splitlines()
    for line in (
        'suture_run_rounds_total{outcome="finalised"} 1',
        'suture_run_rounds_total{outcome="failed"} 1',
        'suture_run_refusals_total{kind="contribution-refused"} 1',
        'suture_run_seconds_total{part="train"} 1.5000',
        'suture_run_phase{phase="waiting"} 1',
        "suture_run_contribution_bytes_total 700",
        "suture_run_ledger_head 7",
        "suture_run_ledger_age_seconds 10",
    ):
        assert line in lines
    assert "Hospital" not in found.text()


def test_a_second_look_counts_nothing_twice_and_a_new_process_begins_with_the_file(tmp_path):
    log, found = EventLog(tmp_path / "events.jsonl"), metrics(tmp_path)
    log.emit("round-failed", round=1, reason="too few")
    log.close()
    assert found.text() == found.text() == metrics(tmp_path).text()


def test_a_ledger_that_is_away_has_no_head(tmp_path):
    text = metrics(tmp_path, head=None).text()
    assert "suture_run_ledger_up 0" in text
    assert "suture_run_ledger_head" not in text


def test_signed_transactions_wait_in_the_outbox_and_a_missing_file_has_no_depth(tmp_path):
    assert outbox_depth(tmp_path / "outbox.sqlite") is None
    OutboxFile(tmp_path / "outbox.sqlite", "one", bytes(20)).close()
    assert outbox_depth(tmp_path / "outbox.sqlite") == 0
    row = "INSERT INTO entry VALUES (?, 'one', X'00', ?, X'00', X'00', NULL, X'00', 'vote', ?, '', NULL)"
    with closing(sqlite3.connect(tmp_path / "outbox.sqlite")) as database:
        database.executemany(row, [("a", 0, "signed"), ("b", 1, "done")])
        database.commit()
    assert outbox_depth(tmp_path / "outbox.sqlite") == 1
    assert "suture_run_outbox_depth 1" in metrics(tmp_path).text()


def test_the_reference_and_the_dashboard_know_every_metric_and_no_other(tmp_path):
    OutboxFile(tmp_path / "outbox.sqlite", "one", bytes(20)).close()
    real = set(re.findall(r"# TYPE (\w+)", metrics(tmp_path).text()))
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(suture_run_\w+)`", page, re.MULTILINE)) == real
    board = json.loads((ROOT / "deploy" / "grafana" / "suture-node.json").read_text("utf-8"))
    asked = " ".join(t["expr"] for panel in board["panels"] for t in panel["targets"])
    assert set(re.findall(r"suture_run_\w+", asked)) == real
