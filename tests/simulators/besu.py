"""A real network of BFT validators: Besu nodes with the files that ``suture ledger network`` writes, all on this machine.

Besu is looked for in the environment variable ``SUTURE_BESU``, then on the ``PATH``. Tests that start it are marked ``bft``; they are skipped,
with a reason, where it is absent. The files are changed in two places only: a container's paths become those of this machine,
and the JSON-RPC ports become free ones.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import IO, Any, Self

import pytest
from typer.testing import CliRunner

from coordinator.cli import cli
from ledger.chain.connection import Web3Connection
from ledger.errors import ChainUnreachable
from tests.simulators.patience import patient

ABSENT = "besu is not here: set SUTURE_BESU to the program of a Besu release, or put besu on the PATH"
NO_JAVA = "besu is here, and no Java runtime is: set JAVA_HOME, or put java on the PATH"
CHAIN_ID = 20_260
START_S, BLOCK_S, STOP_S = 300.0, 180.0, 120.0
"""How long the start of all nodes, the next block, and the end of a node may take."""
_MEMORY = "-Xmx512m"


def find_besu() -> Path | None:
    """Return the program, or None when it is nowhere.

    Raises:
        FileNotFoundError: ``SUTURE_BESU`` names something else.
    """
    named = os.environ.get("SUTURE_BESU")
    found = shutil.which(named or "besu")
    if named and found is None:
        raise FileNotFoundError(f"SUTURE_BESU={named} is no program")
    return None if found is None else Path(found)


def why_not() -> str:
    """Return what is missing for a network, or an empty string."""
    if find_besu() is None:
        return ABSENT
    return "" if os.environ.get("JAVA_HOME") or shutil.which("java") else NO_JAVA


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(item.getsockname()[1]) for item in sockets]
    for item in sockets:
        item.close()
    return ports


def localised(config: str, folder: Path, rpc_port: int) -> str:
    """Return a node's configuration with the paths of this machine and another JSON-RPC port."""
    lines = []
    for line in config.splitlines():
        key, _, value = line.partition("=")
        lines.append(
            f"{key}={rpc_port if key == 'rpc-http-port' else value.replace('/network/', f'{folder}/')}"
        )
    return "\n".join(lines) + "\n"


class BesuNode:
    """One validator.

    Args:
        folder: What ``suture ledger network`` wrote for it.
        rpc_port: Where it shall answer.
    """

    def __init__(self, folder: Path, rpc_port: int) -> None:
        self.url = f"http://127.0.0.1:{rpc_port}"
        self._folder = folder
        config = folder / "config.toml"
        config.write_text(localised(config.read_text(), folder, rpc_port))
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None

    def start(self) -> None:
        """Start it; it goes on with what its folder holds."""
        program = find_besu()
        assert program is not None, "looked for before"
        self._log = (self._folder / "besu.log").open("ab")
        self._process = subprocess.Popen(
            [str(program), f"--config-file={self._folder / 'config.toml'}"], cwd=self._folder,
            stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "BESU_OPTS": os.environ.get("BESU_OPTS", _MEMORY)},
        )  # fmt: skip

    def stop(self) -> None:
        """Kill it, as a machine that loses its power."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(patient(STOP_S))
        if self._log is not None:
            self._log.close()

    def check_alive(self) -> None:
        """Fail, with the end of its log, where it ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            said = (self._folder / "besu.log").read_text(errors="replace")[-2000:]
            raise RuntimeError(f"besu in {self._folder.name} ended with {self._process.returncode}:\n{said}")

    def connection(self) -> Web3Connection:
        """Open a connection to it."""
        return Web3Connection(self.url, chain_id=CHAIN_ID)

    def height(self) -> int:
        """Return the newest block's number; -1 while it does not answer."""
        try:
            return self.connection().head().number
        except ChainUnreachable:
            return -1

    def ask(self, method: str, *params: object) -> Any:
        """Send one request of Besu's own."""
        return self.connection()._request(method, *params)


class BesuNetwork:
    """Validators on loopback, made by the command, started and making blocks.

    Args:
        folder: Where the files go.
        validators: How many.
    """

    def __init__(self, folder: Path, validators: int = 4) -> None:
        missing = why_not()
        if missing:
            pytest.skip(missing)
        self.folder = folder / "net"
        ports = free_ports(2 * validators)
        hosts = [word for port in ports[:validators] for word in ("--host", f"127.0.0.1:{port}")]
        words = ["ledger", "network", str(self.folder), *hosts, "--chain-id", str(CHAIN_ID), "--period", "1"]
        made = CliRunner().invoke(cli, words)
        assert made.exit_code == 0, made.output
        described = json.loads((self.folder / "network.json").read_text())
        self.genesis_hash = bytes.fromhex(described["genesis_hash"])
        self.validators = [bytes.fromhex(item["address"]) for item in described["validators"]]
        folders = [self.folder / item["folder"] for item in described["validators"]]
        self.nodes = [BesuNode(place, port) for place, port in zip(folders, ports[validators:], strict=True)]

    @property
    def genesis(self) -> Path:
        """The genesis file, which an auditor pins."""
        return self.folder / "genesis.json"

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
            self.wait_for_block(1, START_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for node in self.nodes:
            node.stop()

    def wait_for_block(self, number: int, seconds: float = BLOCK_S, *, at: int = 0) -> None:
        """Wait until a node shows a block."""
        end = time.monotonic() + patient(seconds)
        while self.nodes[at].height() < number:
            self.nodes[at].check_alive()
            assert time.monotonic() < end, f"no block {number} after {patient(seconds)} s"
            time.sleep(0.2)
