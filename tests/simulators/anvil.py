"""A real node beside the embedded chain: anvil, of the Foundry tools.

It is looked for in the environment variable ``ANVIL``, then in ``.ci/tools`` (which ``.ci/run`` fills where there is npm), then
on the ``PATH``. Tests that start it are marked ``anvil``; they are skipped, with a reason, where it is absent.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Self

import pytest

from tests.simulators.patience import patient

TOOLS = Path(__file__).resolve().parents[2] / ".ci" / "tools"
ABSENT = "anvil is not here: set ANVIL, or run `npm ci --prefix .ci/tools --ignore-scripts`"
START_S = 120.0
"""How long the start may take on a busy machine."""
ANSWER_S = 120.0


def find_anvil() -> Path | None:
    """Return the program, or None when it is nowhere.

    Raises:
        FileNotFoundError: ``ANVIL`` names something else.
    """
    named = os.environ.get("ANVIL")
    if named:
        found = shutil.which(named)
        if found is None:
            raise FileNotFoundError(f"ANVIL={named} is no program")
        return Path(found)
    installed = sorted(TOOLS.glob("node_modules/@foundry-rs/anvil-*/bin/anvil"))
    if installed:
        return installed[0]
    on_path = shutil.which("anvil")
    return None if on_path is None else Path(on_path)


class RpcError(Exception):
    """The node answered with an error."""


class Anvil:
    """A running node; free gas, no accounts of its own, a block for each transaction.

    Args:
        chain_id: Its chain.
        hardfork: Its rules, by anvil's name; those of the embedded chain are "prague".
        base_fee: Of the first block, wei; None leaves anvil's, 1 gwei, and its gas price.
        timestamp: Of the first block, Unix seconds; the clock's by default.
        state: File from which it starts, when there is one, and into which it writes its state at the end.
        port: Where it listens on loopback; 0 for any free port.
        options: More of anvil's options.
    """

    def __init__(
        self,
        *,
        chain_id: int = 4242,
        hardfork: str = "prague",
        base_fee: int | None = 0,
        timestamp: int | None = None,
        state: Path | None = None,
        port: int = 0,
        options: tuple[str, ...] = (),
    ) -> None:
        program = find_anvil()
        if program is None:
            pytest.skip(ABSENT)
        command = [str(program), "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(chain_id)]
        command += ["--hardfork", hardfork, "--accounts", "0", "--gas-limit", "100000000"]
        command += [] if base_fee is None else ["--base-fee", str(base_fee), "--gas-price", "0"]
        command += [] if timestamp is None else ["--timestamp", str(timestamp)]
        command += [] if state is None else ["--state", str(state), "--preserve-historical-states"]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it; a pipe would fill up and stop anvil
        self.process = subprocess.Popen(
            [*command, *options], stdout=self._log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            self.port = self._wait_until_it_listens()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        self.url = f"http://127.0.0.1:{self.port}"

    def _wait_until_it_listens(self) -> int:
        end = time.monotonic() + patient(START_S)
        while True:
            printed = os.pread(self._log.fileno(), 65536, 0)
            found = re.search(rb"Listening on 127\.0\.0\.1:(\d+)\n", printed)
            if found:
                return int(found[1])
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"anvil did not start: {printed.decode(errors='replace')[-500:]}")
            time.sleep(0.005)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # ------------------------------------------------------------------ the process

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGTERM lets it write its state, SIGKILL does not."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGCONT)
            os.killpg(self.process.pid, how)
            try:
                self.process.wait(patient(START_S))
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self._log.close()

    def freeze(self) -> None:
        """Stop answering; connections hang."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Answer again."""
        os.killpg(self.process.pid, signal.SIGCONT)

    # ------------------------------------------------------------------ requests

    def ask(self, method: str, *params: object) -> Any:
        """Send one request and return its result.

        Raises:
            RpcError: The answer is an error.
        """
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=patient(ANSWER_S)) as reply:
            answer = json.load(reply)
        if "error" in answer:
            raise RpcError(f"{method}: {answer['error']}")
        return answer["result"]

    def wait_for(self, method: str, *params: object) -> Any:
        """Ask until the answer is not null: transactions, receipts and blocks appear one after the other."""
        end = time.monotonic() + patient(ANSWER_S)
        while (answer := self.ask(method, *params)) is None:
            assert time.monotonic() < end, f"{method} {params} stays null"
            time.sleep(0.001)
        return answer

    def height(self) -> int:
        """Return the newest block's number."""
        return int(self.ask("eth_blockNumber"), 16)

    def mine(self, blocks: int = 1) -> None:
        """Make empty blocks; transactions that wait go into the first."""
        self.ask("anvil_mine", hex(blocks))

    def automine(self, on: bool) -> None:
        """Make a block for each transaction, or none until :meth:`mine`."""
        self.ask("evm_setAutomine", on)

    def reorg(self, depth: int) -> None:
        """Replace the newest ``depth`` blocks by empty ones; what was in them is gone."""
        self.ask("anvil_reorg", depth, [])

    def next_block_at(self, timestamp: int) -> None:
        """Set the time of the next block, Unix seconds."""
        self.ask("evm_setNextBlockTimestamp", timestamp)
