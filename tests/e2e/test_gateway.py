"""Hostile bundles behind a gateway, with real Flower processes over loopback; about a minute and a half on two cores."""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import flwr
import pytest

from clients.cli.supernode_process import watched
from clients.door import ACCEPTED, NOT_ACCEPTED, Method
from clients.gateway.gateway import NOT_OPEN
from coordinator.engines.bundle import build_bundle
from coordinator.engines.deployment import Deployment
from coordinator.engines.environment import scripts_folder
from coordinator.engines.hospitals import Gateway, Helper, Hospital, Reach
from tests.simulators import hostile_app
from tests.simulators.founded_run import RunWithNodes, found
from tests.simulators.patience import patient
from tests.simulators.process_tree import MARK, end_marked, marked

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = Path(f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}")
SEPARATE = sys.platform.startswith("linux") and os.getuid() == 0 and SYSTEM_PYTHON.exists()
NOBODY = (65534, 65534)
WITHHELD = [2, "the holder's gateway withheld the reply"]


@pytest.fixture(scope="module")
def mark() -> Iterator[str]:
    name = secrets.token_hex(8)
    yield name
    end_marked(name)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A work folder with a path short enough for Unix sockets, which another user may pass through."""
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


class Site:
    """One hospital's node, gateway and SuperNode; the SuperNode runs as another user where we are root."""

    def __init__(self, folder: Path, node: Path) -> None:
        self.folder, self.node = folder, node
        self.config: dict[str, str] = {}
        places = folder / "places"
        places.mkdir()
        places.chmod(0o777)
        self.notes, self.report = places / "notes", places / "report"

    def hospital(self) -> Hospital:
        door = self.folder / "n.sock"
        command = [sys.executable, "-P", "-m", "clients.cli", "serve", str(self.node), "--socket", str(door)]
        if SEPARATE:
            command += ["--glue-user", "nobody"]
        self.config |= {
            "door": f"unix:{door}",
            "data": str(self.node / "data" / "records.csv"),
            "keys": str(self.node / "keys"),
            "notes": str(self.notes),
        }

        def gateway(reach: Reach, port: int) -> list[str]:
            self.config["gateway"] = f"http://127.0.0.1:{port}"
            return [
                *(
                    sys.executable,
                    "-P",
                    "-m",
                    "clients.cli",
                    "gateway",
                    str(self.node),
                    "--socket",
                    str(door),
                ),
                *("--superlink", reach.address, "--root-certificates", str(reach.authority)),
                *("--port", str(port)),
            ]

        return Hospital(
            config=self.config,
            helpers=[Helper(command=command, socket=door)],
            gateway=Gateway(command=gateway, public_key=self.node / "keys" / "supernode.pub"),
            user=NOBODY if SEPARATE else None,
        )

    def reported(self) -> dict[str, dict[str, object]]:
        return {line["attack"]: line for line in map(json.loads, self.report.read_text().splitlines())}

    def noted(self, attack: str) -> list[dict[str, object]]:
        return [n for n in map(json.loads, self.notes.read_text().splitlines()) if n["attack"] == attack]

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = (self.node / "outgoing.jsonl").read_text().splitlines()
        return [entry for entry in map(json.loads, lines) if entry["event"] == event]


def environment_of(folder: Path, mark: str, site: Site) -> dict[str, str]:
    """Flower's programs on an interpreter that another user can reach; ours may lie in a home folder."""
    values = {"PYTHONPATH": f"{ROOT}{os.pathsep}{Path(flwr.__file__).parents[1]}", MARK: mark}
    if SEPARATE:
        programs = folder / "programs"
        programs.mkdir()
        for name in ("flower-supernode", "flower-superexec", "flwr-clientapp", "flwr-serverapp"):
            script = programs / name
            first, rest = (
                f"#!{SYSTEM_PYTHON}\n",
                (Path(scripts_folder()) / name).read_text().split("\n", 1)[1],
            )
            if (
                name == "flower-supernode"
            ):  # what `suture-node serve` has in the environment that it starts it with
                lookout = watched({"PYTHONPATH": values["PYTHONPATH"]}, site.node, folder / "n.sock")
                first += f"import os\nos.environ.update({lookout!r})\n"
            script.write_text(first + rest)
            script.chmod(0o755)
        values["PATH"] = f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin"
    return values


def co_signed(run: Path, bundle: bytes) -> None:
    """Let all nodes co-sign the chain, so that one of them alone can rely on it later."""
    nodes = RunWithNodes(run)
    try:
        for holder in nodes.holders.values():
            assert holder.call(Method.BUNDLE, bundle) == ACCEPTED
            assert holder.call(Method.BUNDLE, bytes(32)) == NOT_ACCEPTED
    finally:
        nodes.close()


@pytest.fixture(scope="module")
def attacked(folder: Path, mark: str) -> Site:
    """A site after a run of an accepted bundle that is hostile, and of one that was not accepted; made once."""
    app = hostile_app.write(folder / "hostile")
    bundle = build_bundle(app).sha256
    run = found(folder / "run", rounds=1, bundle=bundle.hex())
    co_signed(run, bundle)
    for path in (run, run / "nodes"):
        path.chmod(0o711)
    site = Site(folder, next(p for p in sorted((run / "nodes").iterdir())))
    for path in (folder / "d", folder / "d" / "flower"):
        path.mkdir(mode=0o711)
    environment = environment_of(folder, mark, site)
    with Deployment(folder / "d", [site.hospital()], environment=environment) as deployment:
        outcome = deployment.run(app, {"report": str(site.report)}, timeout_s=patient(1200.0))
        assert outcome.succeeded, outcome.log.read_text()
        other = hostile_app.write(folder / "other" / "hostile", attacks=("rows",), note="another")
        assert deployment.run(other, {"report": str(site.report) + "-2"}, timeout_s=patient(600.0)).succeeded
    assert marked(mark) == set()
    return site


def test_an_accepted_bundle_that_turns_hostile_gets_nothing_out(attacked: Site) -> None:
    replies, rows = attacked.reported(), (attacked.node / "data" / "records.csv").read_bytes()[:4096]
    assert set(replies) == set(hostile_app.ATTACKS), "no attack wedged the SuperNode"
    for attack in ("rows", "metrics", "config", "names", "keystore", "gateway", "shadow"):
        assert (replies[attack]["error"], replies[attack]["content"]) == (WITHHELD, ""), attack
        assert attacked.noted(attack)[0]["rows"] == len(rows), "the code ran, and had the rows"
    assert replies["error"]["error"] == [2, "the app failed at the holder; the holder's log says how"]
    assert replies["twice"]["error"] == [2, "the app failed at the holder; the holder's log says how"]
    arrived = attacked.report.read_text()
    assert rows[:30].decode() not in arrived and rows.hex()[:60] not in arrived

    assert {note["status"] for note in attacked.noted("call")} <= {400, 403}
    [shadow] = attacked.noted("shadowed")
    assert "apps" in str(shadow["file"]), (
        "in its own process the bundle's package comes first; nobody else imports it"
    )
    assert len(attacked.logged("reply-withheld")) == 7
    second = [e for e in attacked.logged("call-refused") if e["call"] == "push-messages"]
    assert [e["reason"] for e in second] == [NOT_OPEN], "the second of two"


@pytest.mark.skipif(
    not SEPARATE,
    reason=f"needs root and {SYSTEM_PYTHON}: as the node's own user the training code can read its keys",
)
def test_it_cannot_read_the_keys_and_that_it_tried_is_logged_by_the_node(
    attacked: Site, folder: Path
) -> None:
    assert attacked.noted("keystore refused") and not attacked.noted("keystore read")
    passphrase = attacked.node / "keys" / "passphrase"
    told = f"the training code reached for what is the node's: 'open {passphrase}'"
    assert sum(told in log.read_text() for log in (folder / "d").rglob("*.log")) == 1


def test_another_bundle_does_not_come_in(attacked: Site) -> None:
    [refused] = (json.loads(line) for line in Path(f"{attacked.report}-2").read_text().splitlines())
    assert refused["error"] == [7, "the holder refuses this bundle"]
    assert len(attacked.logged("bundle-refused")) == 1
