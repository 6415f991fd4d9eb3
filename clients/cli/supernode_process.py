"""The command and the environment of Flower's SuperNode, wherever it runs.

Nothing of the node is imported here: where the SuperNode has a container of its own, the node's keys and kernels are not its business.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from clients.lookout import sitecustomize

FLOWER = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_HANDED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "PYTHONPATH",
    "OMP_NUM_THREADS",
    "NUMBA_CACHE_DIR",
    "CUDA_VISIBLE_DEVICES",
)
"""Variables that the SuperNode gets of the node's environment."""
_PATHS = {"PATH", "HOME", "TMPDIR", "PYTHONPATH", "NUMBA_CACHE_DIR"}


def supernode_command(gateway: str, port: int, socket: Path) -> list[str]:
    """Return the command of a SuperNode behind the gateway at ``gateway`` (``HOST:PORT``), which reaches the node by ``socket``."""
    return [
        *(_program("flower-supernode"), "--insecure", "--superlink", gateway),
        *("--host", "127.0.0.1", "--port", str(port), "--isolation", "subprocess"),
        *("--node-config", f'door="unix:{socket.resolve()}"'),
    ]


def supernode_environment(home: Path) -> dict[str, str]:
    """Return a SuperNode's whole environment; a passphrase may be among what of ours is left out."""
    handed = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    # it starts in a folder of its own, where a relative path leads elsewhere
    for name in _PATHS & handed.keys():
        places = filter(None, handed[name].split(os.pathsep))
        handed[name] = os.pathsep.join(map(os.path.abspath, places))
    path = os.pathsep.join([sysconfig.get_path("scripts"), handed.get("PATH", os.defpath)])
    return {**handed, **FLOWER, "FLWR_HOME": str(home.resolve()), "PYTHONUNBUFFERED": "1", "PATH": path}


def watched(environment: Mapping[str, str], folder: Path, socket: Path) -> dict[str, str]:
    """Return the environment with a lookout in each Python process, which tells the node at ``socket`` who reaches into its ``folder``."""
    place = str(Path(sitecustomize.__file__).resolve().parent)
    path = os.pathsep.join([place, *filter(None, [environment.get("PYTHONPATH")])])
    names = {sitecustomize.FOLDER: str(folder.resolve()), sitecustomize.SOCKET: str(socket.resolve())}
    return {**environment, **names, "PYTHONPATH": path}


def _program(name: str) -> str:
    return str(Path(sysconfig.get_path("scripts")) / name)
