"""``suture-node supernode``: what it becomes, and what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, os, sys
def become(program, command, environment):
    print(json.dumps({"command": command, "environment": environment, "modules": sorted(sys.modules)}))
    os._exit(0)
os.execve = become
from clients.cli import main
main()
"""
"""Says what the command would become, instead of becoming it."""


def test_a_supernode_of_its_own_loads_nothing_of_the_node_and_gets_no_passphrase(tmp_path: Path) -> None:
    words = [
        "supernode",
        str(tmp_path / "home"),
        "--gateway",
        "gateway:9093",
        "--socket",
        "/run/suture/node.sock",
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env={**os.environ, "SUTURE_NODE_PASSPHRASE": "not for production", "SUTURE_NODE_PASSPHRASE_FILE": "/p", "NUMBA_CACHE_DIR": "/tmp"},
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    became = json.loads(done.stdout)
    assert Path(became["command"][0]).name == "flower-supernode"
    assert became["command"][became["command"].index("--superlink") + 1] == "gateway:9093"
    assert 'door="unix:/run/suture/node.sock"' in became["command"]
    assert not [name for name in became["environment"] if name.startswith("SUTURE")]
    assert became["environment"]["NUMBA_CACHE_DIR"] == "/tmp"
    heavy = {"numba", "torch", "flwr", "clients.node.house", "fl_core.lattice.kernels"}
    assert not heavy & set(became["modules"]), "each start would compile or load what it does not use"
