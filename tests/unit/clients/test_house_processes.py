"""What ``suture-node serve`` keeps running goes on although a look for a hanging app fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clients.cli.house_processes import Outside, children
from tests.simulators.patience import patient

PROGRAM = """
import sqlite3, sys, time
from pathlib import Path
from flwr.proto.message_pb2 import Metadata
from clients.cli import house_processes
from clients.errors import NodeStateError
from clients.gateway.questions import Questions
from suture_fl.children import Child
from suture_fl.stopping import Stop

folder, fault = Path(sys.argv[1]), sys.argv[2]
path = folder / "gateway.sqlite"
questions = Questions(path)
now = time.time()
asked = Metadata(message_id="0" * 64, run_id=1, created_at=now - 100, ttl=3600 if "clock" in fault else 10)
questions.ask(asked, frozenset(), now)
questions.clock_is_right(now - time.monotonic())
questions.close()
if fault == "no database":
    path.write_bytes(b"these bytes are none of a database" * 200)

def note(event, **facts):
    if fault == "no room":
        raise NodeStateError("outgoing.jsonl could not be written in full.", fix="Make room.")
    print(event, flush=True)

class Stops(Stop):
    looks = 0
    def wait(self, seconds=None):
        self.looks += 1
        time.sleep(0.05)
        return self.looks > 20

house_processes.OVERDUE_EVERY_S = 0.1
child = Child(name="SuperNode", command=["sleep", "600"], environment={"PATH": "/usr/bin:/bin"}, log=folder / "log")
clock = {"clock": lambda: time.time() + 7200, "clock and time": lambda: time.time() + 7200}.get(fault, time.time)
steady = {"clock and time": lambda: time.monotonic() + 7200}.get(fault, time.monotonic)
house_processes.keep_running(folder, [child], Stops(), note, clock=clock, steady=steady)
print("ended as told", flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes")
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("", ["app-killed"]),
        ("no room", []),
        ("no database", []),
        ("clock and time", ["app-killed"]),
        ("clock", []),
    ],
    ids=lambda value: str(value),
)
def test_a_look_for_a_hanging_app_that_fails_ends_nothing_and_a_clock_that_is_set_wrong_kills_none(
    tmp_path, fault, said
):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), fault],
        check=False,
        capture_output=True,
        text=True,
        timeout=patient(60.0),
    )
    assert done.stdout.splitlines() == [*said, "ended as told"], done.stderr
    assert done.returncode == 0


def test_a_supernode_starts_in_a_folder_of_its_own_wherever_serve_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "ours::/theirs")
    monkeypatch.setenv("TMPDIR", "scratch")
    outside = Outside(superlink="https://h:1", certificates=None, gateway_port=1, supernode_port=2, user=None)
    supernode = children(Path("."), Path("node.sock"), outside)[-1]
    assert supernode.folder is not None and supernode.folder.samefile(tmp_path / "flower")
    assert supernode.environment["PYTHONPATH"].split(":")[1:] == [str(tmp_path / "ours"), "/theirs"]
    assert supernode.environment["TMPDIR"] == str(tmp_path / "scratch")
    assert Path(supernode.command[0]).is_absolute() and str(tmp_path / "node.sock") in supernode.command[-1]
