"""Metrics: numbers of the node's own calls, on loopback only, and never a data value."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from clients.door import Method, SocketDoor
from clients.errors import PolicyRefusal
from clients.node.metrics import Metrics, MetricsServer
from clients.node.server import NodeServer
from fl_core.errors import InputError
from suture_fl.scrapes import CONTENT_TYPE
from tests.architecture.sources import ROOT
from tests.simulators.consortium import Consortium

LINE = re.compile(r'(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"\\\n]*",?)+\})? [-+.\de]+)')


def metrics(folder: Path) -> Metrics:
    return Metrics(folder, lambda: (3, 700), 99)


def test_calls_are_counted_by_method_and_outcome_and_timed(tmp_path):
    found = metrics(tmp_path)
    for seconds in (0.05, 0.5, 500.0):
        found.observe("protect", "done", seconds)
    found.observe("reveal", "refused", 0.001)
    lines = found.text().splitlines()
    assert 'suture_node_calls_total{method="protect",outcome="done"} 3' in lines
    assert 'suture_node_calls_total{method="reveal",outcome="refused"} 1' in lines
    for bound, count in (("0.01", 0), ("0.1", 1), ("1", 2), ("10", 2), ("+Inf", 3)):
        assert f'suture_node_call_seconds_bucket{{method="protect",le="{bound}"}} {count}' in lines
    assert 'suture_node_call_seconds_sum{method="protect"} 500.550000' in lines
    assert "suture_node_left_bytes_total 700" in lines


def test_every_line_has_the_form_of_the_exposition_format(tmp_path):
    found = metrics(tmp_path)
    found.observe("check", "failed", 1.0)
    text = found.text()
    assert text.endswith("\n")
    assert [line for line in text.splitlines() if not LINE.fullmatch(line)] == []


def test_the_reference_and_the_dashboard_know_every_metric_and_no_other(tmp_path):
    real = set(re.findall(r"# TYPE (\w+)", metrics(tmp_path).text()))
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(suture_node\w+)`", page, re.MULTILINE)) == real
    board = json.loads((ROOT / "deploy" / "grafana" / "suture-node.json").read_text("utf-8"))
    asked = {
        name
        for panel in board["panels"]
        for t in panel["targets"]
        for name in re.findall(r"suture_node_\w+", t["expr"])
    }
    assert {name.removesuffix("_bucket") for name in asked} == real


@pytest.mark.network
def test_metrics_are_served_and_nothing_else_is(tmp_path):
    server = MetricsServer(metrics(tmp_path), "127.0.0.1:0")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            assert b"suture_node_logbook_entries 3" in answer.read()
        with pytest.raises(urllib.error.HTTPError) as other:
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/node.toml", timeout=5)
        assert other.value.code == 404
        other.value.close()
    finally:
        server.close()


def test_an_address_that_anybody_can_reach_is_refused(tmp_path):
    with pytest.raises(InputError, match="could be read by anybody"):
        MetricsServer(metrics(tmp_path), "0.0.0.0:9464")


def test_a_served_node_counts_its_calls(tmp_path):
    consortium = Consortium(tmp_path / "c")
    node, seen = consortium.holders[0].node, []
    path = Path("/tmp") / f"suture-m-{tmp_path.name[-20:]}"
    server = NodeServer(node, path, observe=lambda *call: seen.append(call))
    server.start()
    try:
        SocketDoor(path).call(Method.STATUS, b"")
        with pytest.raises(PolicyRefusal):
            SocketDoor(path).call(Method.PLAIN, b"heart-disease")
    finally:
        server.close()
        consortium.close()
    assert [call[:2] for call in seen] == [("status", "done"), ("plain", "refused")]
    assert all(seconds >= 0 for *_, seconds in seen)
