"""The command lines of Flower's processes, and how their output is read. Checked with flwr 1.41.

Everything is plain HTTP on the loopback interface: community Flower has no authentication on the paths that start and
stop runs, so a deployment of this kind is for one machine. Installing dependencies at run time is switched off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from coordinator.engines.environment import scripts_folder
from coordinator.engines.ports import LOOPBACK
from coordinator.engines.settings import Setting, encode_inline, encode_value
from coordinator.errors import EngineError

CONNECTION = "suture"
"""The name under which the SuperLink is entered in Flower's ``config.toml``."""

NODE_READY = b"SuperNode ID"
"""A SuperNode writes this when the SuperLink has taken it in."""


def _program(name: str) -> str:
    return str(Path(scripts_folder()) / name)


def superlink(port: int) -> list[str]:
    """Return the command of a SuperLink that starts ServerApps itself."""
    return [
        _program("flower-superlink"),
        "--insecure",
        "--host",
        LOOPBACK,
        "--port",
        str(port),
        "--isolation",
        "subprocess",
        "--disable-runtime-dependency-installation",
    ]


def supernode(superlink_port: int, port: int, config: Mapping[str, Setting]) -> list[str]:
    """Return the command of a SuperNode that starts ClientApps itself; ``config`` becomes ``context.node_config``."""
    command = [
        _program("flower-supernode"),
        "--insecure",
        "--superlink",
        f"{LOOPBACK}:{superlink_port}",
        "--host",
        LOOPBACK,
        "--port",
        str(port),
        "--isolation",
        "subprocess",
    ]
    return [*command, "--node-config", encode_inline(config)] if config else command


def as_user(command: list[str], user: int, group: int) -> list[str]:
    """Return a command that runs ``command`` as another user, without any right of ours; Linux, as root.

    The program is looked up on the path, so that the other user can be given an interpreter within its reach.
    """
    rights = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--"]
    return [*rights, Path(command[0]).name, *command[1:]]


def run(app: Path, config_file: Path) -> list[str]:
    """Return the command that submits the app in the folder ``app``; ``config_file`` is TOML."""
    return [
        _program("flwr"),
        "run",
        str(app),
        CONNECTION,
        "--run-config",
        str(config_file),
        "--format",
        "json",
    ]


def follow(run_id: int) -> list[str]:
    """Return the command that prints the ServerApp's output and ends when the run does."""
    return [_program("flwr"), "log", str(run_id), CONNECTION, "--stream"]


def status(run_id: int) -> list[str]:
    """Return the command that prints a run's status."""
    return [_program("flwr"), "list", CONNECTION, "--run-id", str(run_id), "--format", "json"]


def home_config(superlink_port: int) -> str:
    """Return the ``config.toml`` of a Flower home that knows this SuperLink only."""
    address = encode_value(f"{LOOPBACK}:{superlink_port}")
    return f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\naddress = {address}\ninsecure = true\n'


def read_run_id(output: str) -> int:
    """Return the run id that :func:`run` printed.

    Raises:
        EngineError: The output says that there is none, and why.
    """
    answer = _read_json(output)
    if answer.get("success") is not True or not str(answer.get("run-id", "")).isdigit():
        raise EngineError(f"Flower did not start the run. It says: {output.strip()[-1000:]}")
    return int(str(answer["run-id"]))


def read_status(output: str) -> str:
    """Return the status that :func:`status` printed, for instance ``"running"`` or ``"finished:completed"``.

    Raises:
        EngineError: The output holds no status.
    """
    runs = _read_json(output).get("runs")
    if isinstance(runs, list) and runs and isinstance(runs[0], dict):
        found = runs[0].get("status")
        if isinstance(found, str):
            return found
    raise EngineError(f"Flower did not tell the status of the run. It says: {output.strip()[-1000:]}")


def _read_json(output: str) -> dict[str, object]:
    """Return the first JSON object in ``output``; notes of Flower may stand around it."""
    decoder = json.JSONDecoder()
    start = output.find("{")
    while start >= 0:
        try:
            found = decoder.raw_decode(output, start)[0]
        except ValueError:
            start = output.find("{", start + 1)
            continue
        if isinstance(found, dict):
            return found
        start = output.find("{", start + 1)
    return {}
