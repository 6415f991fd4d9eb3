"""A service that is told to end does so with the exit code of its class, as the page on the command lines says."""

from __future__ import annotations

import re
import signal
import socket
from contextlib import closing

import pytest

from coordinator.engines.ports import reserve
from tests.architecture.sources import ROOT
from tests.e2e.conftest import Commands, finished
from tests.simulators.certificates import make_certificates
from tests.simulators.founded_run import found
from tests.simulators.process_tree import becomes

pytestmark = [pytest.mark.e2e, pytest.mark.network]

PAGE = (ROOT / "docs" / "reference" / "cli.md").read_text("utf-8")
START_S = 600.0


def _documented(service: str) -> int:
    """Return the exit code after SIGTERM that the page gives a service."""
    [row] = [line for line in PAGE.splitlines() if line.startswith("| `suture") and f"`{service}`" in line]
    [code] = re.findall(r"\d+", row.split("|")[2])[:1]
    return int(code)


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_each_service_ends_after_a_signal_with_the_exit_code_of_the_page(commands: Commands) -> None:
    """Those that `test_superlink_service.py` and `test_end_of_a_node.py` end are not started again here."""
    run = found(commands.temporary / "run", rounds=1)
    node = min((run / "nodes").iterdir())
    made = make_certificates(commands.temporary / "certificates")
    shown = ("--certificate", made.certificate, "--key", made.key)
    nobody, *ports = reserve([None] * 5)
    far = f"https://127.0.0.1:{nobody}"
    words = {
        "suture metrics": (run, "--at", f"127.0.0.1:{ports[0]}"),
        "suture relay": (run, *shown, "--port", str(ports[1])),
        "suture superlink front": (far, "--authority", made.authority, *shown, "--port", str(ports[2])),
        "suture-node gateway": (node, "--socket", commands.temporary / "no.sock", "--superlink", far, "--root-certificates",
                                made.authority, "--port", str(ports[3])),
    }  # fmt: skip
    ended = {}
    for (service, more), port in zip(words.items(), ports, strict=True):
        process = commands.start(*service.split(), *more)
        assert becomes(lambda port=port: _answers(port), START_S), service
        process.send_signal(signal.SIGTERM)
        ended[service] = finished(process).returncode
    assert ended == {service: _documented(service) for service in words}
    assert {_documented("suture superlink serve"), _documented("suture-node serve")} == {0}
