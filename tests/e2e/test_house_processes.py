"""``suture-node serve --superlink``: node, gateway and SuperNode as one service, with real processes; about a minute."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from coordinator.engines.deployment import Deployment
from coordinator.engines.ports import reserve
from tests.simulators.founded_run import found
from tests.simulators.process_tree import becomes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]


def processes_of(*words: str) -> set[int]:
    """Return the processes whose command line holds all ``words``."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if all(word in line for word in words):
                    found.add(int(folder.name))
    return found


def test_what_dies_is_started_again_and_everything_ends_with_the_service():
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        folder = Path(name)
        node = min((found(folder / "run", rounds=1) / "nodes").iterdir())
        gateway_port, supernode_port = reserve([None, None])
        log = node / "logs" / "supernode.log"

        def joined() -> int:
            return log.read_text().count("SuperNode ID") if log.exists() else 0

        def ours() -> set[int]:
            return processes_of(str(gateway_port)) | processes_of(str(supernode_port))

        with Deployment(folder / "d", []) as deployment:
            command = [
                *(
                    sys.executable,
                    "-P",
                    "-m",
                    "clients.cli",
                    "serve",
                    str(node),
                    "--socket",
                    str(folder / "s"),
                ),
                *("--superlink", f"http://127.0.0.1:{deployment.port}"),
                *("--gateway-port", str(gateway_port), "--supernode-port", str(supernode_port)),
            ]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            with (folder / "serve.log").open("wb") as output:
                service = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
            try:
                assert becomes(lambda: joined() == 1, 90.0), (folder / "serve.log").read_text()
                (supernode,) = processes_of("flower-supernode ", f"--port {supernode_port}")
                os.kill(supernode, signal.SIGKILL)
                assert becomes(lambda: joined() == 2, 40.0), "let in again at once, not after a minute"
                (gateway,) = processes_of(" gateway ", f"--port {gateway_port}")
                os.kill(gateway, signal.SIGKILL)
                assert becomes(lambda: processes_of(" gateway ", f"--port {gateway_port}") - {gateway}, 30.0)
                service.send_signal(signal.SIGTERM)
                assert service.wait(30.0) == 0
                assert becomes(lambda: not ours(), 15.0)

                with (folder / "serve.log").open("ab") as output:
                    service = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
                assert becomes(lambda: joined() == 3, 90.0)
                service.send_signal(signal.SIGKILL)
                service.wait()
                assert becomes(lambda: not ours(), 15.0), "the kernel ends the others"
            finally:
                service.kill()
                service.wait()
