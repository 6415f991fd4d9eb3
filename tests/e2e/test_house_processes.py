"""``suture-node serve --superlink``: node, gateway and SuperNode as one service, with real processes; about three minutes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from clients.door import ACCEPTED, Method
from clients.gateway.superlink import node_key
from clients.node.gateway_lines import altered, lines_by_digest, told
from clients.node.logbook import read_logbook
from coordinator.engines.bundle import build_bundle
from coordinator.engines.deployment import Deployment
from coordinator.engines.ports import reserve
from ledger.logbook import Kind
from tests.simulators import hostile_app
from tests.simulators.founded_run import RunWithNodes, found
from tests.simulators.patience import exit_of
from tests.simulators.process_tree import becomes, processes_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]
START_S, GONE_S = 600.0, 15.0


class Service:
    """``suture-node serve`` with a SuperLink: node, gateway and SuperNode of one hospital."""

    def __init__(self, folder: Path, node: Path) -> None:
        self.folder, self.node = folder, node
        self.gateway_port, self.supernode_port = reserve([None, None])
        self.process: subprocess.Popen[bytes] | None = None

    def enrol(self, deployment: Deployment) -> None:
        """Write where the SuperLink is, and have it know the node's key."""
        address, authority = deployment.reach
        with (self.node / "node.toml").open("a") as config:
            config.write(
                f'\n[network]\nsuperlink = "{address}"\nca = "{authority}"\n'
                f"gateway_port = {self.gateway_port}\nsupernode_port = {self.supernode_port}\n"
            )
        node_key(self.node / "keys" / "supernode.pem")
        deployment.enrol([self.node / "keys" / "supernode.pub"])

    def start(self) -> None:
        command = [
            sys.executable,
            "-P",
            "-m",
            "clients.cli",
            "serve",
            "--same-user",
            str(self.node),
            "--socket",
        ]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.folder / "serve.log").open("ab") as output:
            self.process = subprocess.Popen(
                [*command, str(self.folder / "s")], env=environment, stdout=output, stderr=output
            )

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return exit_of(self.process, self.log, 30.0)

    def joined(self) -> int:
        log = self.node / "logs" / "supernode.log"
        return log.read_text().count("SuperNode ID") if log.exists() else 0

    def ours(self) -> set[int]:
        return processes_of(str(self.gateway_port)) | processes_of(str(self.supernode_port))

    def log(self) -> str:
        return (self.folder / "serve.log").read_text()


def test_what_dies_is_started_again_and_everything_ends_with_the_service():
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        folder = Path(name)
        service = Service(folder, min((found(folder / "run", rounds=1) / "nodes").iterdir()))
        gateway, supernode = f"--port {service.gateway_port}", f"--port {service.supernode_port}"
        with Deployment(folder / "d", []) as deployment:
            service.enrol(deployment)
            service.start()
            try:
                assert becomes(lambda: service.joined() == 1, START_S), service.log()
                assert "the SuperNode runs as this node's user" in service.log(), "it is warned of"
                (running,) = processes_of("flower-supernode ", supernode)
                os.kill(running, signal.SIGKILL)
                assert becomes(lambda: service.joined() == 2, 40.0), (
                    "let in again at once, not after a minute"
                )
                (running,) = processes_of(" gateway ", gateway)
                os.kill(running, signal.SIGKILL)
                assert becomes(lambda: processes_of(" gateway ", gateway) - {running}, START_S)
                assert service.end(signal.SIGTERM) == 0
                assert becomes(lambda: not service.ours(), GONE_S)

                service.start()
                assert becomes(lambda: service.joined() == 3, START_S)
                service.end(signal.SIGKILL)
                assert becomes(lambda: not service.ours(), GONE_S), "the kernel ends the others"
            finally:
                service.end(signal.SIGKILL)


def test_a_bundle_that_hangs_is_killed_when_its_time_is_over_and_the_next_run_works():
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        folder = Path(name)
        app = hostile_app.write(folder / "hostile")
        bundle = build_bundle(app).sha256
        run = found(folder / "run", rounds=1, bundle=bundle.hex())
        nodes = RunWithNodes(run)  # all co-sign the chain, so that one of them alone can rely on it later
        for holder in nodes.holders.values():
            assert holder.call(Method.BUNDLE, bundle) == ACCEPTED
        nodes.close()
        service = Service(folder, min((run / "nodes").iterdir()))
        notes, reports = folder / "notes", (folder / "first", folder / "second")
        keys = service.node / "keys"
        config = {"notes": str(notes), "data": str(service.node / "data" / "records.csv"), "keys": str(keys)}
        with Deployment(folder / "d", [], environment={"PYTHONPATH": str(ROOT)}) as deployment:
            service.enrol(deployment)
            service.start()
            try:
                assert becomes(lambda: service.joined() == 1, START_S), service.log()
                hang = {**config, "report": str(reports[0]), "attacks": "hang", "ttl": 30.0}
                assert deployment.run(app, hang, timeout_s=START_S).succeeded
                noted = {note["attack"]: note for note in map(json.loads, notes.read_text().splitlines())}
                for what in ("hung", "daemon"):
                    process = Path("/proc") / str(noted[what]["pid"])
                    assert becomes(lambda process=process: not process.exists(), START_S), what
                assert becomes(lambda: service.joined() == 2, START_S), service.log()
                again = {**config, "report": str(reports[1]), "attacks": "config,keystore"}
                assert deployment.run(app, again, timeout_s=START_S).succeeded
                for answer in map(json.loads, reports[1].read_text().splitlines()):
                    assert answer["error"] == [2, "the holder's gateway withheld the reply"], (
                        "it ran, and had rows"
                    )
                assert service.end(signal.SIGTERM) == 0
            finally:
                service.end(signal.SIGKILL)
        assert "holds a message whose time is over" in service.log()
        assert f"reached for what is the node's: 'open {keys / 'passphrase'}'" in service.log()
        said = [told(line) for line, _ in lines_by_digest(service.node).values()]
        assert "app-killed a message was not answered in its time" in said
        entries = [entry for entry, _ in read_logbook(service.node)]
        assert sum(entry.kind == Kind.WITHHELD.value for entry in entries) == 3
        assert altered(entries, service.node) == []
