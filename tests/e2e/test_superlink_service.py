"""``suture superlink serve``: what dies is started again, what was enrolled stays so, and everything ends with it; half a minute."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from flwr.proto import fleet_pb2

from clients.gateway.gateway import ACTIVATION_FAILED
from clients.gateway.ports import SuperLinkError
from clients.gateway.superlink import HttpSuperLink, node_key
from coordinator.certificates import make_certificates
from coordinator.engines.control import FlowerControl
from coordinator.engines.ports import reserve
from coordinator.launch.drive import drive
from coordinator.launch.state import Step
from tests.simulators.launch_office import created, launch_office
from tests.simulators.patience import exit_of, patient
from tests.simulators.process_tree import MARK, becomes, end_marked, marked, processes_of
from tests.simulators.terminal import Terminal

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]
START_S, GONE_S = 600.0, 15.0


class Service:
    """The service in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mark = folder, folder.name
        now = datetime.datetime.now(datetime.UTC)
        self.certificates = make_certificates(folder / "c", ["127.0.0.1"], now=now)
        self.port, self.inner = reserve([None, None])
        self.nodes = folder / "s" / "nodes"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable,
            "-P",
            "-m",
            "coordinator.cli",
            "superlink",
            "serve",
            str(self.folder / "s"),
        ]
        command += ["--certificates", str(self.folder / "c"), "--port", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--inner-port", str(self.inner)],
                env={**os.environ, "PYTHONPATH": str(ROOT), MARK: self.mark},
                stdout=log,
                stderr=log,
            )

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return exit_of(self.process, self.log, 30.0)

    def activated(self, key: Path) -> bool:
        """Whether the SuperLink lets a SuperNode with this key in."""
        far = HttpSuperLink(f"https://127.0.0.1:{self.port}", node_key(key), self.certificates.authority)
        request = fleet_pb2.ActivateNodeRequest(public_key=far.public_key, heartbeat_interval=30)
        try:
            answer = far.call("activate-node", request, fleet_pb2.ActivateNodeResponse, 1 << 16)
            gone = fleet_pb2.DeactivateNodeRequest(node_id=answer.node_id)
            far.call("deactivate-node", gone, fleet_pb2.DeactivateNodeResponse, 1 << 16)
        except SuperLinkError as error:
            assert error.code == ACTIVATION_FAILED or error.status == 503, str(error)
            return False
        finally:
            far.close()
        return True

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture
def service() -> Iterator[Service]:
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        made = Service(Path(name))
        try:
            yield made
        finally:
            end_marked(made.mark)
            if made.process is not None:
                made.process.wait()


def test_what_dies_is_started_again_and_keys_stay_enrolled_over_crashes_and_restarts(service):
    known, stranger = service.folder / "known.pem", service.folder / "stranger.pem"
    node_key(known)
    service.start()
    assert becomes(service.nodes.is_dir, START_S), service.log()
    (service.nodes / "known.pub").write_bytes((service.folder / "known.pub").read_bytes())
    (service.nodes / "nonsense.pub").write_text("no key")
    assert becomes(lambda: service.activated(known), START_S), service.log()
    assert not service.activated(stranger)
    assert becomes(lambda: "nonsense.pub is not enrolled, and is tried again" in service.log(), START_S)

    for words in (
        ("engines.flower_superlink", str(service.inner)),
        ("superlink front", f"--port {service.port}"),
    ):
        [process] = processes_of(*words) - {service.process.pid}
        os.kill(process, signal.SIGKILL)
        assert becomes(lambda process=process: not Path(f"/proc/{process}").exists(), 5.0)
        assert becomes(lambda: service.activated(known), START_S), service.log()
    assert service.log().count("is started again") >= 2

    assert service.end(signal.SIGTERM) == 0
    assert becomes(lambda: not marked(service.mark), GONE_S), marked(service.mark)
    service.start()
    assert becomes(lambda: service.activated(known), START_S), service.log()
    assert not service.activated(stranger)
    service.end(signal.SIGKILL)
    assert becomes(lambda: not marked(service.mark), GONE_S), "the kernel ends the others"


def test_a_run_is_resumed_while_the_superlink_is_away_and_begins_once_as_soon_as_it_is_back(
    service, tmp_path, monkeypatch, capsys
):
    office, said = launch_office(tmp_path, Terminal(monkeypatch, capsys)), []
    with office.folder.joinpath("run.toml").open("a") as file:
        file.write(f'\n[superlink]\nfolder = "{service.folder / "s"}"\n')
    folder = created(office)
    folder.reach(folder.read(), Step.CONSENTED)
    service.start()
    assert becomes((service.folder / "s" / "flower" / "config.toml").is_file, START_S), service.log()
    service.end(signal.SIGKILL)
    assert becomes(lambda: not marked(service.mark), GONE_S)
    with ThreadPoolExecutor() as pool:
        resumed = pool.submit(drive, folder, timeout_s=patient(300.0), say=said.append)
        assert becomes(lambda: said or resumed.done(), START_S) and not resumed.done()
        service.start()
        state = resumed.result()
    assert "does not answer. Waiting for it. Start it: suture superlink serve" in said[0]
    assert said[1:] == [f"Started on the SuperLink as Flower's run {state.flower_run}."]
    [(number, _)] = FlowerControl(service.folder / "s").runs(state.app)
    assert (str(number), state.step) == (state.flower_run, Step.SUBMITTED.value)


def test_certificates_that_are_missing_are_said_before_anything_is_made(service):
    (service.folder / "c" / "server.key").unlink()
    service.start()
    assert exit_of(service.process, service.log) == 1
    assert "suture certificates" in service.log()
    assert not (service.folder / "s").exists()
