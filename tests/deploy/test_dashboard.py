"""The Grafana dashboard asks for metrics and labels that node and coordinator really have."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest

from clients.node.metrics import Metrics
from coordinator.metrics import Head, RunMetrics
from ledger.outbox_file import OutboxFile
from tests.architecture.sources import ROOT

BOARD = json.loads((ROOT / "deploy" / "grafana" / "suture-node.json").read_text("utf-8"))
TARGETS = [target for panel in BOARD["panels"] for target in panel["targets"]]
FUNCTIONS = {"sum", "by", "rate", "increase", "histogram_quantile", "time"}
FROM_PROMETHEUS = {"instance", "job"}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """Every series that the two endpoints show, with its labels."""
    folder = tmp_path_factory.mktemp("metrics")
    OutboxFile(folder / "outbox.sqlite", "one", bytes(20)).close()
    node = Metrics(folder, lambda: (1, 1), 1)
    node.observe("protect", "done", 0.5)
    text = node.text() + RunMetrics(folder, lambda: Head(1, 1), lambda: 1.0).text()
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*)\})? ", line).groups()
            found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels or ""))
    return found


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["expr"])
def test_a_query_names_one_metric_that_exists_and_labels_that_it_has(real, target):
    expression = target["expr"]
    [name] = {word for word in re.findall(r"\w+", expression) if word in real}
    grouped = {
        label.strip() for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(",")
    }
    matched = set(re.findall(r"(\w+)\s*[!=]?=~?\s*\"", expression))
    assert grouped | matched <= real[name]
    shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    assert shown <= (grouped or real[name] | FROM_PROMETHEUS), (
        "a label that the query drops is empty in the legend"
    )
    words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)))
    assert words <= {name} | real[name] | FUNCTIONS, "a word that is neither metric, label nor function"


def test_every_panel_asks_something_of_the_chosen_source_and_its_id_is_its_own():
    panels = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
    assert all(panel["targets"] and panel["datasource"]["uid"] == "${datasource}" for panel in panels)
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
