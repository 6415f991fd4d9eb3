"""The chart, rendered by Helm's own engine: what its linter says, whether Kubernetes knows every field, and what must hold."""

from __future__ import annotations

import copy
import re
from itertools import chain

import pytest
import yaml

from tests.deploy.tools import CHART, COPY_PASSPHRASE, INSTALL, ROOT

helm = pytest.importorskip("helm_python", reason=f"Helm's engine is not installed; {INSTALL}")

BOTH = {"coordinator": {"enabled": True, "relay": {"enabled": True, "ledger": "/suture/ledger.toml"}}}
LEDGER = {
    "to": [{"ipBlock": {"cidr": "192.0.2.8/32"}}],
    "ports": [{"protocol": "TCP", "port": 8545}],
}
"""Where a JSON-RPC node of the hospital's is, as an egress rule."""
VALUES = {
    "as they are": {},
    "both": BOTH,
    "coordinator only": {"node": {"enabled": False}, "coordinator": {"enabled": True}},
    "setup": {"node": {"setup": True}},
    "ledger behind JSON-RPC": {"node": {"networkPolicy": {"egress": [LEDGER]}}},
    "metrics": {
        "node": {"metrics": {"enabled": True}},
        "coordinator": {**BOTH["coordinator"], "metrics": {"enabled": True}},
    },
    "own claims, digest": {
        "node": {"storage": {"claim": "mine"}, "image": {"digest": f"sha256:{64 * 'a'}"}},
        "coordinator": {"enabled": True, "storage": {"claim": "ours", "className": "fast"}},
    },
}
KUBERNETES = "1.31"


def rendered(values: dict) -> list[dict]:
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(values=values, name="alder")
    return [document for text in texts.values() for document in yaml.safe_load_all(text) if document]


def of_kind(documents: list[dict], kind: str, component: str = "node") -> dict:
    [found] = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == f"alder-{component}"]
    return found


def pods(documents: list[dict]) -> list[dict]:
    return [d["spec"]["template"]["spec"] for d in documents if d["kind"] == "StatefulSet"]


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_helms_linter_finds_nothing_but_a_missing_icon(values):
    found = helm.lint(CHART, values, strict=True)
    assert found["errors"] == []
    assert {message["error"] for message in found["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_kubernetes_knows_every_field_of_every_document(values):
    validate = pytest.importorskip("kubernetes_validate", reason=INSTALL)
    documents = rendered(values)
    assert documents
    for document in documents:
        validate.validate(document, KUBERNETES, strict=True)


def test_a_field_that_kubernetes_does_not_know_would_be_found():
    validate = pytest.importorskip("kubernetes_validate", reason=INSTALL)
    wrong = copy.deepcopy(of_kind(rendered({}), "StatefulSet"))
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFileSystem"] = True
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, KUBERNETES, strict=True)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_every_container_has_a_read_only_root_no_rights_and_a_user_that_is_not_root(values):
    for pod in pods(rendered(values)):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"] + pod.get("initContainers", []):
            security = pod["securityContext"] | container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["runAsUser"] in (10001, 10002)
            if container["name"] != "passphrase":  # which copies a file and is over
                assert {"/tmp", "/cache"} <= {mount["mountPath"] for mount in container["volumeMounts"]}
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_every_volume_that_is_mounted_is_there_and_caches_are_not_shared(values):
    for pod in pods(rendered(values)):
        there = {volume["name"] for volume in pod["volumes"]}
        caches = [
            m["name"] for c in pod["containers"] for m in c["volumeMounts"] if m["mountPath"] == "/cache"
        ]
        every = pod["containers"] + pod.get("initContainers", [])
        assert {m["name"] for c in every for m in c["volumeMounts"]} <= there
        assert len(set(caches)) == len(caches)


def test_every_service_is_asked_by_the_commands_of_the_images():
    for container in chain.from_iterable(pod["containers"] for pod in pods(rendered(BOTH))):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["exec"]["command"][:2] in (["suture-node", "alive"], ["suture", "alive"])


def test_a_container_is_restarted_for_what_it_is_itself_and_a_supernode_without_its_node_is_not_ready():
    [pod] = pods(rendered({}))
    asks = {
        (container["name"], probe): container[f"{probe}Probe"]["exec"]["command"][2:]
        for container in pod["containers"]
        for probe in ("startup", "liveness", "readiness")
    }
    own = {
        "node": ["unix:/run/suture/node.sock"],
        "gateway": ["http://127.0.0.1:9093/health"],
        # the gateway's word on the SuperNode; one that does not answer is not held against it
        "supernode": ["--gateway", "http://127.0.0.1:9093/health/supernode", "http://127.0.0.1:9094/health"],
    }
    for name, words in own.items():
        assert asks[name, "startup"] == asks[name, "liveness"] == words
        assert asks[name, "readiness"] == words + (own["node"] if name == "supernode" else [])


def test_training_code_has_no_key_and_no_passphrase():
    [pod] = pods(rendered({}))
    by_name = {container["name"]: container for container in pod["containers"]}
    supernode = by_name["supernode"]
    assert "env" not in supernode and "envFrom" not in supernode
    assert supernode["securityContext"]["runAsUser"] == 10002
    assert not pod.get("shareProcessNamespace"), "an environment could be read through /proc"
    [state] = [mount for mount in supernode["volumeMounts"] if mount["name"] == "state"]
    assert (state["subPath"], state["readOnly"]) == ("node/data", True)
    mounted = {name: {mount["name"] for mount in by_name[name]["volumeMounts"]} for name in by_name}
    assert not {"secret", "passphrase"} & mounted["supernode"]
    assert not any("secret" in names for names in mounted.values())


def test_the_passphrase_is_in_no_environment_but_in_a_file_in_memory():
    [pod] = pods(rendered({"node": {"passphrase": {"secret": "mine", "key": "spoken"}}}))
    text = yaml.safe_dump(pod)
    assert "secretKeyRef" not in text and "secretRef" not in text
    [first] = pod["initContainers"]
    assert first["command"] == COPY_PASSPHRASE
    assert {m["name"]: m["mountPath"] for m in first["volumeMounts"]} == {
        "secret": "/secret",
        "passphrase": "/run/passphrase",
    }
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["passphrase"]["emptyDir"]["medium"] == "Memory"
    assert volumes["secret"]["secret"] == {
        "secretName": "mine",
        "defaultMode": 0o440,
        "items": [{"key": "spoken", "path": "passphrase"}],
    }
    for container in pod["containers"][:2]:
        assert container["env"] == [
            {"name": "SUTURE_NODE_PASSPHRASE_FILE", "value": "/run/passphrase/passphrase"}
        ]
        assert {"name": "passphrase", "mountPath": "/run/passphrase", "readOnly": True} in container[
            "volumeMounts"
        ]


def test_nobody_reaches_a_hospital_and_it_reaches_two_ports_and_names():
    policy = of_kind(rendered({}), "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["ingress"] == []
    assert {port["port"] for rule in policy["egress"] for port in rule["ports"]} == {53, 9092, 9443}
    assert all(rule["to"] for rule in policy["egress"]), "a rule without peers allows all"
    selected = of_kind(rendered({}), "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert policy["podSelector"]["matchLabels"].items() <= selected.items()
    assert not [d for d in rendered({}) if d["kind"] == "Service"]


@pytest.mark.parametrize("setup", [True, False])
def test_a_hospital_reaches_its_ledger_where_it_is_named_also_while_it_is_set_up(setup):
    def egress(**network: object) -> list[dict]:
        documents = rendered({"node": {"setup": setup, "networkPolicy": network}})
        return of_kind(documents, "NetworkPolicy")["spec"]["egress"]

    assert egress(egress=[LEDGER]) == [*egress(), LEDGER]


PLACES = {
    "node": ("node", "--metrics=alder-node-0:9464", 9464),
    "coordinator": ("metrics", "alder-coordinator-0:9465", 9465),
}
"""Container, what it is told, and port of each component's metrics."""


@pytest.mark.parametrize("component", PLACES)
def test_metrics_are_shown_at_the_pods_name_to_whom_the_values_name_and_only_when_asked_for(component):
    name, place, port = PLACES[component]
    collector = [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]
    asked = {"coordinator": {"enabled": True}} | {
        component: {"enabled": True, "metrics": {"enabled": True, "from": collector}}
    }
    documents, silent = rendered(asked), rendered({"coordinator": {"enabled": True}})
    stateful = of_kind(documents, "StatefulSet", component)
    assert stateful["metadata"]["name"] in place, "the pod's own name"
    [container] = [c for c in stateful["spec"]["template"]["spec"]["containers"] if c["name"] == name]
    assert place in container["args"]
    assert {"name": "metrics", "containerPort": port} in container["ports"]
    ingress = [of_kind(d, "NetworkPolicy", component)["spec"]["ingress"] for d in (documents, silent)]
    added = {"from": collector, "ports": [{"protocol": "TCP", "port": port}]}
    assert ingress[0] == [*ingress[1], added]
    assert str(port) not in yaml.safe_dump_all(silent)


def test_the_page_makes_the_secrets_that_the_pods_want_with_their_files():
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text()
    made = {
        name: set(re.findall(r"--from-file=(?:\w+=)?(?:\w+/)?(\S+)", files))
        for name, files in re.findall(r"kubectl create secret generic (\S+) (.+)", page)
    }
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert made == {
        values["node"]["passphrase"]["secret"]: {values["node"]["passphrase"]["key"]},
        values["coordinator"]["certificates"]["secret"]: set(
            re.findall(r"/certificates/([\w.]+)", yaml.safe_dump_all(rendered(BOTH)))
        ),
    }


def test_a_claim_outlives_the_release_and_is_not_made_where_one_is_named():
    assert of_kind(rendered({}), "PersistentVolumeClaim")["metadata"]["annotations"] == {
        "helm.sh/resource-policy": "keep"
    }
    named = rendered({"node": {"storage": {"claim": "mine"}}})
    assert not [d for d in named if d["kind"] == "PersistentVolumeClaim"]
    assert pods(named)[0]["volumes"][0]["persistentVolumeClaim"] == {"claimName": "mine"}


def test_a_pod_for_setting_up_starts_no_service():
    [pod] = pods(rendered({"node": {"setup": True}}))
    [container] = pod["containers"]
    assert container["command"] == ["sleep", "infinity"]


@pytest.mark.parametrize(
    "values",
    [
        {"node": {"superlink": "http://superlink:9092"}},
        {"node": {"superlnk": "https://superlink:9092"}},
        {"node": {"networkPolicy": {"to": []}}},
        {"node": {"networkPolicy": {"egress": [{"ports": LEDGER["ports"]}]}}},
        {"node": {"networkPolicy": {"egress": [{"to": LEDGER["to"]}]}}},
        {"node": {"networkPolicy": {"egress": [{**LEDGER, "to": [{}]}]}}},
        {"node": {"metrics": {"from": []}}},
        {"coordinator": {"metrics": {"from": [{}]}}},
        {"node": {"image": {"digest": "sha256:abc"}}},
        {"coordinator": {"relay": {"run": "runs/one"}}},
        {"coordinator": {"service": {"type": "Open"}}},
        {"replicas": 2},
    ],
    ids=str,
)
def test_values_that_would_do_harm_or_nothing_are_refused(values):
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema({})
        with pytest.raises(helm.HelmError):
            chart.validate_schema(values)


def test_the_schema_knows_every_value_and_the_values_every_key_of_the_schema():
    import json

    def keys(values: dict, schema: dict, place: str = "") -> None:
        if "properties" not in schema:
            return
        assert set(values) == set(schema["properties"]) - {"global"}, place
        for name, value in values.items():
            if isinstance(value, dict):
                keys(value, schema["properties"][name], f"{place}.{name}")

    keys(
        yaml.safe_load((CHART / "values.yaml").read_text()),
        json.loads((CHART / "values.schema.json").read_text()),
    )
