"""Dockerfile and compose files: what linters say, and what must hold for every container."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from itertools import combinations
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import pins
from tests.deploy.tools import CHART, COMPOSE, CONTAINERS, INSTALL, ROOT, program
from tests.simulators import wheels

DOCKERFILE = (CONTAINERS / "Dockerfile").read_text()
CUDA = ("nvidia-", "triton", "cuda-")
"""What PyTorch's other builds need; the images' needs none of it."""
HOSPITALS = ("1", "2", "3", "4")
VARIABLES = {
    "hospital.yaml": {"NODE_FOLDER": "/n", "NODE_PASSPHRASE": "/p", "SUPERLINK": "https://superlink:9092"},
    "coordinator.yaml": {},
    "four-hospitals.yaml": {
        "NODE_FOLDER": "/n",
        "NODE_PASSPHRASE": "/p",
        "SUPERLINK": "https://superlink:9092",
        "NETWORK_FOLDER": "/network",
        "COORDINATOR_FOLDER": "/network/coordinator",
        "CERTIFICATES": "/network/certificates",
    },
}


# ---------------------------------------------------------------------- Dockerfile


def stages() -> dict[str, list[str]]:
    """Return the instructions of each stage, without comments, a list of lines by the stage's name."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            found[match[2]] = list(found.get(match[1], []))
        elif found:
            found[list(found)[-1]].append(line)
    return found


def last(stage: str, instruction: str) -> str:
    return [line for line in stages()[stage] if line.startswith(f"{instruction} ")][-1]


def test_hadolint_finds_nothing():
    done = subprocess.run(
        [program("hadolint"), "--failure-threshold", "info", "--no-color", CONTAINERS / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_would_find_a_container_of_root(tmp_path):
    (tmp_path / "Dockerfile").write_text(re.sub("USER 10001:10001", "USER root", DOCKERFILE))
    done = subprocess.run(
        [program("hadolint"), "--no-color", tmp_path / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "DL3002" in done.stdout


def test_the_base_is_an_exact_release():
    assert re.search(r"^ARG BASE=debian:\d+\.\d+-slim$", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {
        "${BASE}",
        "build",
        "runtime",
        "scratch",
    }


@pytest.mark.parametrize("image", ["node", "coordinator", "auditor"])
def test_every_image_runs_as_a_fixed_user_that_is_not_root_and_says_how_to_ask_it(image):
    assert last(image, "USER") == ("USER 10001" if image == "node" else "USER 10001:10001")
    assert last(image, "HEALTHCHECK")
    assert re.match(r"ENTRYPOINT \[", last(image, "ENTRYPOINT")), "no shell"


def test_the_node_image_alone_starts_no_training_code_as_the_user_of_the_keys():
    assert (
        json.loads(last("node", "CMD").removeprefix("CMD "))
        == composed("hospital.yaml")["services"]["node"]["command"]
    )
    assert {"--alone", "--glue-user"} <= set(json.loads(last("node", "CMD").removeprefix("CMD ")))
    assert re.search(r"useradd --uid 10001 --gid 10001 --groups 10002 .* suture ", " ".join(stages()["node"]))


def test_every_package_of_the_images_is_pinned_and_within_the_projects_ranges():
    from packaging.requirements import Requirement

    lines = [
        line for line in (CONTAINERS / "constraints.txt").read_text().splitlines() if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.]+", line) for line in lines)
    pinned = dict(line.split("==") for line in lines)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pinned[requirement.name.lower()]), requirement


def test_everything_that_a_pinned_package_needs_is_pinned():
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (CONTAINERS / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0] for line in lines if not line.startswith("#")}
    loose = set()
    for name in pinned:
        try:
            needs = map(Requirement, requires(name) or ())
        except PackageNotFoundError:
            continue  # what another version of Python needs
        loose |= {
            canonicalize_name(one.name)
            for one in needs
            if (one.marker is None or one.marker.evaluate({"extra": ""})) and not one.name.startswith(CUDA)
        }
    assert loose <= pinned


@pytest.mark.parametrize("pin", ["the installed one", "0.0.1"])
def test_the_pins_hold_where_pip_builds_the_project(pin, tmp_path):
    """As in the Dockerfile: wheels in a folder, no index, the pins named by its variables; pip makes an environment for hatchling."""
    built, constraints = tmp_path / "wheels", tmp_path / "constraints.txt"
    built.mkdir()
    needed = {
        name: pins()[name]
        for name in ("hatchling", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers")
    }
    try:
        wheels.pack(built, needed)
    except wheels.NoWheel as error:
        pytest.skip(f"{error}; {INSTALL}")
    version = pin if pin == "0.0.1" else needed["hatchling"]
    constraints.write_text("".join(f"{n}=={v}\n" for n, v in {**needed, "hatchling": version}.items()))
    (tmp_path / "one.py").write_text("")
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling>=0"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "one"\nversion = "1"\n[tool.hatch.build.targets.wheel]\ninclude = ["one.py"]\n'
    )
    named = re.findall(r"(PIP_\w*CONSTRAINT)=/src/deploy/containers/constraints.txt", DOCKERFILE)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(built), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path / "made", tmp_path],
        env={**os.environ, **offline, **dict.fromkeys(named, str(constraints))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if pin == "0.0.1":
        assert done.returncode != 0
        assert "hatchling" in done.stderr
    else:
        assert done.returncode == 0, done.stderr


def test_a_build_without_an_index_takes_its_packages_from_a_stage_that_a_folder_replaces():
    assert stages()["wheels"] == []
    installs = [line for line in stages()["build"] if "pip install" in line]
    assert installs and all(
        line.startswith("RUN --mount=type=bind,from=wheels,target=/wheels ") for line in installs
    )
    assert "ARG PIP_FIND_LINKS=/wheels" in stages()["build"]


def test_only_what_the_dockerfile_copies_is_sent_to_the_build():
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in stages()["build"] if line.startswith("COPY ") for word in line.split()[1:-1]}
    assert sent == copied
    assert all((ROOT / name).exists() for name in sent)


# ---------------------------------------------------------------------- compose


def composed(name: str, beside: str | None = None, **environment: str) -> dict:
    """Return a compose file as docker-compose understands it, with another one beside it."""
    files = [word for file in (name, beside) if file for word in ("--file", str(COMPOSE / file))]
    done = subprocess.run(
        [program("docker-compose"), *files, "config", "--format", "json"],
        env={"PATH": "/usr/bin:/bin", **VARIABLES[name], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [*VARIABLES, "hospital-metrics.yaml"])
def test_the_command_at_the_head_of_a_compose_file_is_the_pages(name):
    def joined(text: str) -> str:
        return " ".join(text.replace("\\\n", " ").split())

    head = (COMPOSE / name).read_text().partition("\nname:")[0]
    lines = re.findall(r"^#(   +\S.*)$", head, re.MULTILINE)
    page = (ROOT / "docs" / "how-to" / "containers.md").read_text().replace("export ", "")
    assert lines and joined("\n".join(lines)) in joined(page)


@pytest.mark.parametrize("name", VARIABLES)
def test_every_container_has_a_read_only_root_no_rights_and_a_user_of_the_images(name):
    for service, one in composed(name)["services"].items():
        assert one["read_only"] is True, service
        assert one["cap_drop"] == ["ALL"], service
        assert one["security_opt"] == ["no-new-privileges:true"], service
        assert one["user"] in ("10001:10001", "10002:10002"), service
        assert "privileged" not in one and "cap_add" not in one, service
        assert any(mount.startswith("/tmp:") for mount in one["tmpfs"]), service


def chart_limits() -> dict[str, dict[str, Any]]:
    """Return the limits of the chart's containers by their names, which are the services' too."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return {
        name: one["limits"]
        for part in ("node", "coordinator")
        for name, one in values[part]["resources"].items()
    }


@pytest.mark.parametrize("name", VARIABLES)
def test_memory_processors_and_processes_are_limited_as_in_the_chart(name):
    limits = chart_limits()
    for service, one in composed(name)["services"].items():
        chart = limits[service.partition("-")[0]]
        assert chart["memory"].endswith("Gi")
        assert int(one["mem_limit"]) == int(chart["memory"].removesuffix("Gi")) << 30, service
        assert one["cpus"] == chart["cpu"], service
        assert one["pids_limit"] > 0, service


@pytest.mark.parametrize("missing", VARIABLES["hospital.yaml"])
def test_a_hospital_that_does_not_say_where_its_files_are_is_told(missing):
    environment = {k: v for k, v in VARIABLES["hospital.yaml"].items() if k != missing}
    done = subprocess.run(
        [program("docker-compose"), "--file", COMPOSE / "hospital.yaml", "config"],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert missing in done.stderr


def test_training_code_has_no_key_no_passphrase_and_no_network_but_the_gateways():
    for name, numbers in (
        ("hospital.yaml", ("",)),
        ("four-hospitals.yaml", tuple(f"-{n}" for n in HOSPITALS)),
    ):
        file = composed(name)
        for number in numbers:
            one = file["services"][f"supernode{number}"]
            assert one["user"] == "10002:10002"
            assert set(one["networks"]) == {f"house{number}"}
            assert file["networks"][f"house{number}"]["internal"] is True
            assert not one.get("secrets")
            assert {mount["target"]: mount.get("read_only", False) for mount in one["volumes"]} == {
                "/node/data": True, "/run/suture": True, "/supernode": False,
            }  # fmt: skip
            others = [s for s, other in file["services"].items() if f"house{number}" in other["networks"]]
            assert set(others) == {f"gateway{number}", f"supernode{number}"}


def who_reaches(file: dict, service: str) -> set[str]:
    """Return the services that a server of ``service`` which listens on ``--host`` answers.

    A name that only some of its networks know is the address there; every network knows a service's own name.
    """
    one = file["services"][service]
    host = one["command"][one["command"].index("--host") + 1]
    aliases = {
        network: {service, *((how or {}).get("aliases", ()))} for network, how in one["networks"].items()
    }
    listens = {network for network, names in aliases.items() if host == "0.0.0.0" or host in names}
    assert listens, f"{service} listens nowhere"
    others = {name for name, other in file["services"].items() if listens & set(other["networks"])}
    return others - {service}


def test_nobody_but_its_supernode_reaches_a_gateway():
    for name, numbers in (
        ("hospital.yaml", ("",)),
        ("four-hospitals.yaml", tuple(f"-{n}" for n in HOSPITALS)),
    ):
        file = composed(name)
        for number in numbers:
            gateway, supernode = f"gateway{number}", file["services"][f"supernode{number}"]
            assert who_reaches(file, gateway) == {f"supernode{number}"}
            command = file["services"][gateway]["command"]
            host = command[command.index("--host") + 1]
            assert supernode["command"][supernode["command"].index("--gateway") + 1] == f"{host}:9093"
            assert f"http://{host}:9093/health" in file["services"][gateway]["healthcheck"]["test"]


@pytest.mark.parametrize("host", ["0.0.0.0", "gateway"])
def test_a_gateway_that_listened_on_all_networks_would_be_found(host):
    file = composed("hospital.yaml")
    command = file["services"]["gateway"]["command"]
    command[command.index("--host") + 1] = host
    assert who_reaches(file, "gateway") == {"node", "supernode"}


def test_a_hospital_reaches_superlink_and_relay_and_no_other_hospital():
    file = composed("four-hospitals.yaml")
    assert all(network["internal"] for network in file["networks"].values())
    assert not any(one.get("ports") for one in file["services"].values())
    networks = {name: set(one["networks"]) for name, one in file["services"].items()}
    for number in HOSPITALS:
        on_line = {name for name, joined in networks.items() if f"line-{number}" in joined}
        assert on_line == {"superlink", "relay", f"node-{number}", f"gateway-{number}"}
    for a, b in combinations(HOSPITALS, 2):
        of = [set().union(*(v for k, v in networks.items() if k.endswith(f"-{n}"))) for n in (a, b)]
        assert of[0].isdisjoint(of[1])


def test_in_production_only_the_two_ports_of_the_coordinator_are_published():
    services = composed("coordinator.yaml")["services"]
    published = {port["published"] for one in services.values() for port in one["ports"]}
    assert published == {"9092", "9443"}
    assert not any(one.get("ports") for one in composed("hospital.yaml")["services"].values())


METRICS = {
    "node": ("hospital.yaml", {"beside": "hospital-metrics.yaml"}, "--metrics", "node-scrape:9464"),
    "metrics": ("coordinator.yaml", {"COMPOSE_PROFILES": "metrics"}, "--at", "run-scrape:9465"),
}
"""Who shows metrics when asked for: its file, how it is asked for, and its option and place."""


@pytest.mark.parametrize("service", METRICS)
def test_metrics_are_shown_in_a_network_of_the_collectors_alone_and_only_when_asked_for(service):
    name, asked, option, place = METRICS[service]
    file, host = composed(name, **asked), place.partition(":")[0]
    assert place not in json.dumps(composed(name))
    command = file["services"][service]["command"]
    assert command[command.index(option) + 1] == place
    assert file["networks"]["scrape"]["internal"] is True
    in_it = {
        one: how["networks"]["scrape"] for one, how in file["services"].items() if "scrape" in how["networks"]
    }
    assert in_it == {service: {"aliases": [host]}}
    networks = file["services"][service]["networks"].items()
    assert [network for network, how in networks if host in (how or {}).get("aliases", ())] == ["scrape"]
    assert {p["target"] for one in file["services"].values() for p in one.get("ports", ())} <= {9092, 9443}


def test_a_hospital_with_metrics_is_the_same_hospital():
    plain, with_metrics = composed("hospital.yaml"), composed("hospital.yaml", "hospital-metrics.yaml")
    node = with_metrics["services"]["node"]
    assert node["command"][-2:] == ["--metrics", "node-scrape:9464"]
    node["command"] = node["command"][:-2]
    del node["networks"]["scrape"]
    assert with_metrics["services"] == plain["services"]


def test_the_service_of_the_runs_metrics_is_as_hardened_and_limited_as_the_relay():
    services = composed("coordinator.yaml", COMPOSE_PROFILES="metrics")["services"]
    own = {"command", "healthcheck", "networks", "profiles", "ports", "secrets", "volumes"}
    hardened = {key: value for key, value in services["relay"].items() if key not in own}
    assert {key: value for key, value in services["metrics"].items() if key not in own} == hardened
    assert "secrets" not in services["metrics"], "it shows no certificate"
