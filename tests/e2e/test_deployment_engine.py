"""The deployment engine with real Flower processes over loopback; about a minute and a half on two cores."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.engines.bundle import build_bundle, write_bundle
from coordinator.engines.bundle_digest import verify_installed
from coordinator.engines.deployment import Deployment
from coordinator.engines.hospitals import Helper, Hospital
from coordinator.errors import EngineError
from tests.simulators import toy_helper
from tests.simulators.patience import ending
from tests.simulators.process_tree import MARK, becomes, end_marked, marked

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

ROOT = Path(__file__).parents[2]
NODES = 4
CONFIG = {
    "rounds": 2,
    "numbers": NODES,
    "deadline": 30.0,
    "patience": 240.0,
    "large": True,
    "fail": False,
    "report": "",
}


@pytest.fixture
def mark() -> Iterator[str]:
    found = secrets.token_hex(8)
    yield found
    end_marked(found)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A work folder with a path short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="suture-") as name:
        yield Path(name)


def toy_app(folder: Path) -> Path:
    app = folder / "toy-app"
    write_bundle(
        app, server="tests.simulators.toy_app:server", client="tests.simulators.toy_app:client", config=CONFIG
    )
    return app


def hospital(folder: Path, position: int) -> Hospital:
    door = folder / f"door-{position}"
    command = [sys.executable, str(Path(toy_helper.__file__)), str(door), "0.5"]
    return Hospital(config={"position": position}, helpers=[Helper(command=command, socket=door)])


def report(folder: Path) -> list[dict[str, object]]:
    file = folder / "report"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_run_survives_a_hospital_that_loses_power_and_leaves_nothing_behind(folder, mark):
    app = toy_app(folder)
    bundle = build_bundle(app)
    hospitals = [hospital(folder, position) for position in range(NODES)]
    with Deployment(folder, hospitals, environment={"PYTHONPATH": str(ROOT), MARK: mark}) as deployment:
        run_id = deployment.submit(app, CONFIG | {"report": str(folder / "report")})
        assert becomes(lambda: report(folder), 120.0)
        before = marked(mark)
        deployment.kill_node(2)
        assert len(before - marked(mark)) > 2, "SuperNode, SuperExec and helper are gone at once"
        outcome = deployment.follow(run_id, timeout_s=400.0)
        assert (outcome.succeeded, outcome.status, outcome.died) == (True, "finished:completed", ())

        # The bundle that every surviving node installed is the one whose digest we know.
        for position in (0, 1, 3):
            [installed] = (folder / "flower" / f"node-{position}" / "apps").iterdir()
            verify_installed(installed, bundle.sha256)

        with pytest.raises(EngineError, match="did not start"):
            deployment.submit(app, {"unheard-of": 1})
        failed = deployment.run(app, CONFIG | _failing(folder), timeout_s=120.0)
        assert (failed.succeeded, failed.status) == (False, "finished:failed")
        assert "told to fail" in failed.log.read_text()
    assert marked(mark) == set()

    first, second, large = report(folder)
    assert (first["total"], first["why"]) == (6, ["ANSWERED"] * 4)
    assert second["total"] == (0 + 1 + 3) * 2
    assert second["why"][:3] == ["ANSWERED"] * 3
    assert second["why"][3] in ("DEADLINE", "OFFLINE")
    assert large["sizes"] == {str(position): 12 * 1024 * 1024 for position in (0, 1, 3)}


def _failing(folder: Path) -> dict[str, object]:
    return {"fail": True, "rounds": 0, "large": False, "numbers": 0, "report": str(folder / "other")}


def test_nothing_survives_the_kill_of_the_process_that_entered_the_deployment(folder, mark):
    program = """
        import sys, time
        from pathlib import Path
        from coordinator.engines.deployment import Deployment
        from coordinator.engines.hospitals import Hospital

        with Deployment(Path(sys.argv[1]), [Hospital(), Hospital()]):
            print("up", flush=True)
            time.sleep(600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(folder)],
        env={**os.environ, MARK: mark},
        stdout=subprocess.PIPE,
    )
    with ending(parent):
        assert parent.stdout.readline() == b"up\n"
        assert len(marked(mark)) >= 8, (
            "us, the supervisor, the SuperLink and two SuperNodes with a SuperExec each"
        )
        killed = time.monotonic()
        parent.send_signal(signal.SIGKILL)
    assert becomes(lambda: not marked(mark), 15.0), marked(mark)
    assert time.monotonic() - killed < 15.0
