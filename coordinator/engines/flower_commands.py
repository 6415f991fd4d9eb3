"""The command lines of Flower's processes, and how their output is read. Checked with flwr 1.41.

A SuperLink listens on the loopback interface only, with TLS: community Flower has no authentication on the paths that start
and stop runs. SuperNodes are known by enrolled keys. Installing dependencies at run time is switched off.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coordinator.certificates import Certificates
from coordinator.engines.environment import scripts_folder
from coordinator.engines.ports import LOOPBACK
from coordinator.engines.settings import Setting, encode_inline, encode_value
from coordinator.errors import EngineError

CONNECTION = "suture"
"""The name under which the SuperLink is entered in Flower's ``config.toml``."""

NODE_READY = b"SuperNode ID"
"""A SuperNode writes this when the SuperLink has taken it in."""

UNAVAILABLE = "Connection to the SuperLink is unavailable"
"""Flower's commands say this when nobody answers at the SuperLink's address."""


def _program(name: str) -> str:
    return str(Path(scripts_folder()) / name)


def superlink(port: int, certificates: Certificates, *, database: Path, secret: Path) -> list[str]:
    """Return the command of a SuperLink that leaves ServerApps to a SuperExec, which proves itself by ``secret``."""
    return [
        # Flower's own, but patient with its database; -P: modules are ours, not those in the working folder
        *(sys.executable, "-P", "-m", "coordinator.engines.flower_superlink"),
        *("--host", LOOPBACK, "--port", str(port)),
        *("--ssl-ca-certfile", str(certificates.authority), "--ssl-certfile", str(certificates.certificate)),
        *("--ssl-keyfile", str(certificates.key), "--enable-supernode-auth", "--database", str(database)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(secret)),
        "--disable-runtime-dependency-installation",
    ]


def superexec(port: int, authority: Path, *, secret: Path) -> list[str]:
    """Return the command of the SuperExec that starts ServerApps for the SuperLink on ``port``."""
    return [
        *(_program("flower-superexec"), "--runtime-api-address", f"{LOOPBACK}:{port}"),
        *("--root-certificates", str(authority), "--superexec-auth-secret-file", str(secret)),
    ]


def gated_supernode(gateway: int, port: int, config: Mapping[str, Setting]) -> list[str]:
    """Return the command of a SuperNode behind a gateway on ``gateway``; ``config`` becomes ``context.node_config``."""
    return _supernode(["--insecure", "--superlink", f"{LOOPBACK}:{gateway}"], port, config)


def supernode(
    superlink: int, port: int, config: Mapping[str, Setting], *, authority: Path, key: Path
) -> list[str]:
    """Return the command of a SuperNode that reaches the SuperLink itself, and is known there by ``key``."""
    way = ["--root-certificates", str(authority), "--superlink", f"{LOOPBACK}:{superlink}"]
    return _supernode([*way, "--auth-supernode-private-key", str(key)], port, config)


def _supernode(way: list[str], port: int, config: Mapping[str, Setting]) -> list[str]:
    command = [
        *(_program("flower-supernode"), *way, "--host", LOOPBACK, "--port", str(port)),
        *("--isolation", "subprocess"),  # it starts ClientApps itself
    ]
    return [*command, "--node-config", encode_inline(config)] if config else command


def register(public_key: Path) -> list[str]:
    """Return the command that enrols the SuperNode with the public key in a file."""
    return [_program("flwr"), "supernode", "register", str(public_key), CONNECTION, "--format", "json"]


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


def listing() -> list[str]:
    """Return the command that prints all runs."""
    return [_program("flwr"), "list", CONNECTION, "--format", "json"]


def stop(run_id: int) -> list[str]:
    """Return the command that stops a run."""
    return [_program("flwr"), "stop", str(run_id), CONNECTION, "--format", "json"]


def nodes() -> list[str]:
    """Return the command that prints all SuperNodes that were ever enrolled."""
    return [_program("flwr"), "supernode", "list", CONNECTION, "--format", "json"]


def read_nodes(output: str) -> list[dict[str, Any]]:
    """Return the SuperNodes that :func:`nodes` printed.

    Raises:
        EngineError: The output holds no list of SuperNodes.
    """
    return _read_list(output, "nodes")


def read_node_id(output: str) -> str:
    """Return the id of the SuperNode that :func:`register` enrolled; empty where Flower does not tell it."""
    found = str(_read_json(output).get("node-id", ""))
    return found if found.isdigit() else ""


def read_runs(output: str) -> list[dict[str, Any]]:
    """Return the runs that :func:`listing` printed.

    Raises:
        EngineError: The output holds no list of runs.
    """
    return _read_list(output, "runs")


def _read_list(output: str, name: str) -> list[dict[str, Any]]:
    found = _read_json(output).get(name)
    if isinstance(found, list) and all(isinstance(one, dict) for one in found):
        return found
    raise EngineError(f"Flower did not list its {name}. It says: {output.strip()[-1000:]}")


def home_config(superlink_port: int, authority: Path) -> str:
    """Return the ``config.toml`` of a Flower home that knows this SuperLink only."""
    address = encode_value(f"{LOOPBACK}:{superlink_port}")
    return (
        f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\naddress = {address}\n'
        f"root-certificates = {encode_value(str(authority))}\n"
    )


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
