"""The Grafana dashboard and the alerts ask for metrics and labels that node and coordinator really have."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import pytest
import yaml

from clients.node.metrics import Metrics
from coordinator.metrics import Head, RunMetrics
from ledger.outbox_file import OutboxFile
from tests.architecture.sources import ROOT
from tests.deploy.tools import INSTALL

BOARD = json.loads((ROOT / "deploy" / "grafana" / "suture-node.json").read_text("utf-8"))
TARGETS = [target for panel in BOARD["panels"] for target in panel["targets"]]
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "suture.rules.yaml").read_text("utf-8"))[
        "groups"
    ]
    for rule in group["rules"]
]
FUNCTIONS = {"sum", "by", "rate", "increase", "histogram_quantile", "time"}
FROM_PROMETHEUS = frozenset({"instance", "job"})


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """Every series that the two endpoints show, with its labels."""
    folder = tmp_path_factory.mktemp("metrics")
    OutboxFile(folder / "outbox.sqlite", "one", bytes(20)).close()
    node = Metrics(folder, lambda: (1, 1), 1)
    node.observe("protect", "done", 0.5)
    assert "suture_node_reached_total 0" in node.text()
    node.observe("reached", "done", 0.5)
    assert "suture_node_reached_total 1" in node.text()
    text = node.text() + RunMetrics(folder, lambda: Head(1, 1), lambda: 1.0).text()
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*)\})? ", line).groups()
            found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels or ""))
    return found


def labels_of(real, expression: str, more: frozenset[str] = frozenset()) -> tuple[str, set[str]]:
    """Return the one metric that a query is about, and the labels that its answer is grouped by; fail on any that does not exist."""
    [name] = {word for word in re.findall(r"\w+", expression) if word in real}
    grouped = {
        label.strip() for labels in re.findall(r"by \(([^)]*)\)", expression) for label in labels.split(",")
    }
    matched = set(re.findall(r"(\w+)\s*[!=]?=~?\s*\"", expression))
    assert grouped | matched <= real[name] | more
    words = set(re.findall(r"\b[A-Za-z_]\w*", re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)))
    assert words <= {name} | real[name] | more | FUNCTIONS, (
        "a word that is neither metric, label nor function"
    )
    return name, grouped


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target["expr"])
def test_a_query_names_one_metric_that_exists_and_labels_that_it_has(real, target):
    name, grouped = labels_of(real, target["expr"])
    shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
    assert shown <= (grouped or real[name] | FROM_PROMETHEUS), (
        "a label that the query drops is empty in the legend"
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_names_one_metric_that_exists_and_says_what_to_do(real, rule):
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    name, grouped = labels_of({**real, "up": set()}, rule["expr"], FROM_PROMETHEUS)
    shown = set(re.findall(r"\{\{ \$labels\.(\w+) \}\}", rule["annotations"]["summary"]))
    assert "instance" in shown
    assert shown <= (grouped or real.get(name, set()) | FROM_PROMETHEUS)
    assert rule["annotations"].keys() == {"summary", "description"}
    assert rule["labels"]["severity"] in ("info", "warning", "critical")


@pytest.mark.parametrize("expression", [*(t["expr"] for t in TARGETS), *(rule["expr"] for rule in RULES)])
def test_prometheus_language_has_each_query(expression):
    parser = pytest.importorskip("promql_parser", reason=INSTALL)
    assert parser.parse(expression)
    with pytest.raises(ValueError, match="invalid promql query"):
        parser.parse(f"{expression} by")


def test_every_panel_asks_something_of_the_chosen_source_and_its_id_is_its_own():
    panels = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
    assert all(panel["targets"] and panel["datasource"]["uid"] == "${datasource}" for panel in panels)
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
