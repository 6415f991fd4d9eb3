"""Processes of a run that can be killed: ``python -m tests.simulators.killable`` imports everything once and forks them.

A line on standard input is JSON: ``{"start": kind, ...}`` answers with the new process's number, ``{"poll": number}`` with its exit
status (negative for a signal) or null while it runs. The kinds are in :data:`KINDS`. A coordinator with ``moment`` and ``victim`` kills that process (0: itself)
with SIGKILL when the moment comes; a moment is ``before`` or ``after`` a note in the journal or a transaction, or an event. One with
``effects`` kills itself right before that many files were written or renamed below its ``folder``.

What must never lie on a disk in the clear is noted in the file ``tap`` (:mod:`tests.simulators.tap`), so that a test can look for it.

:class:`Killable` is the other end.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.simulators.patience import patient
from tests.simulators.tap import tap_this_process

ROOT = Path(__file__).parents[2]
ENDS_S = 300.0
_WRITES = os.O_WRONLY | os.O_RDWR


class Killable:
    """Starts processes and says how they ended. One thread at a time."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.killable"], cwd=ROOT, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        assert self._ask() == "ready"

    def _ask(self, request: dict[str, Any] | None = None) -> Any:
        assert self._parent.stdin is not None and self._parent.stdout is not None
        if request is not None:
            self._parent.stdin.write(json.dumps(request).encode() + b"\n")
        return json.loads(self._parent.stdout.readline())

    def start(self, kind: str, **arguments: Any) -> int:
        """Start a process and return its number."""
        return int(self._ask({"start": kind, **arguments}))

    def poll(self, process: int) -> int | None:
        """Return how it ended, None while it runs."""
        status = self._ask({"poll": process})
        return None if status is None else int(status)

    def coordinate(
        self, folder: Path, doors: Sequence[str], *, rounds: int, log: Path, effects: int = 0
    ) -> int:
        """Start a coordinator on nodes that live elsewhere; return its number.

        Args:
            folder: The run's folder.
            doors: Where the nodes answer.
            rounds: How many rounds it tries.
            log: Gets its output.
            effects: See the module; 0 for never.
        """
        return self.start(
            "coordinator", folder=str(folder), doors=list(doors), rounds=rounds, log=str(log),
            temporary=str(log.parent), moment="", effects=effects, pause=0.5,
        )  # fmt: skip

    def ended(self, process: int, seconds: float = ENDS_S) -> int:
        """Wait for the end of a process and return how it ended; one that does not end in time is killed.

        Raises:
            TimeoutError: It did not.
        """
        end = time.monotonic() + patient(seconds)
        while (status := self.poll(process)) is None:
            if time.monotonic() > end:
                os.kill(process, signal.SIGKILL)
                self.ended(process, seconds)
                raise TimeoutError(f"process {process} has not ended within {patient(seconds):.0f} seconds")
            time.sleep(0.02)
        return status

    def close(self) -> None:
        """End the one that forks; it kills what is left."""
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.close()
        self._parent.wait(patient(ENDS_S))
        self._parent.stdout.close()


# ---------------------------------------------------------------------- moments


def _arm(moment: str, occurrence: int, victim: int) -> None:
    """Kill ``victim`` when ``moment`` comes for the ``occurrence``-th time."""
    from coordinator.store.events import EventLog
    from coordinator.store.journal import Journal
    from ledger.writer import LedgerWriter

    left = occurrence

    def reached(name: str) -> None:
        nonlocal left
        if name == moment:
            left -= 1
            if left == 0:
                os.kill(victim or os.getpid(), signal.SIGKILL)

    def around(owner: Any, method: str, name: Callable[..., str]) -> None:
        original = getattr(owner, method)

        def wrapped(this: Any, *arguments: Any, **named: Any) -> Any:
            what = name(*arguments, **named)
            reached(f"before {what}")
            result = original(this, *arguments, **named)
            reached(f"after {what}")
            return result

        setattr(owner, method, wrapped)

    around(Journal, "write", lambda number, entry, value: f"journal {entry.value}")
    for transaction in ("open_round", "commit_round", "commit_included", "finalise_round", "claim"):
        around(LedgerWriter, transaction, lambda *a, _n=transaction, **k: _n)
    around(EventLog, "emit", lambda event, **values: " ".join(filter(None, (event, values.get("question")))))


def _arm_effects(folder: str, effects: int) -> None:
    """Kill this process right before its ``effects``-th write or rename of a file in ``folder``."""
    left = effects

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        wrote = event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES
        renamed = event == "os.rename"
        if (wrote or renamed) and str(arguments[0]).startswith(folder):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


# ---------------------------------------------------------------------- kinds


def _coordinate(request: dict[str, Any]) -> None:
    from coordinator import app
    from coordinator.demo.holders import CLIENT_APP
    from coordinator.engines.local import run_local
    from coordinator.engines.references import load

    if request["moment"]:
        _arm(request["moment"], request["occurrence"], request["victim"])
    if request.get("effects"):
        _arm_effects(request["folder"], request["effects"])
    config = {
        **app.SETTINGS,
        app.FOLDER: request["folder"],
        app.NODES: len(request["doors"]),
        app.ROUNDS: request["rounds"],
        app.TRAIN_DEADLINE: 150.0,
        app.REVEAL_DEADLINE: 150.0,
        app.POLL: request.get("pause", 0.01),
    }
    doors = [{"door": door} for door in request["doors"]]
    run_local(app.make_server_app(), load(CLIENT_APP), doors, config)


def _settle(request: dict[str, Any]) -> None:
    from coordinator.demo.settlement import settle_rewards
    from fl_core.randomness import SystemRandomSource

    if request["moment"]:
        _arm(request["moment"], request["occurrence"], request["victim"])
    settle_rewards(Path(request["folder"]), clock=lambda: int(time.time()), random=SystemRandomSource())


def _node(request: dict[str, Any]) -> None:
    from clients.cli.serve import _serve

    _serve(Path(request["folder"]), Path(request["socket"]), None, None, None, None)


def _chain(request: dict[str, Any]) -> None:
    """An embedded chain whose process answers JSON-RPC over HTTP; a block is on disk before the answer goes out."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    from ledger.chain.embedded import open_embedded
    from tests.simulators.rpc_server import send

    chain = open_embedded(Path(request["file"]), chain_id=request["chain_id"])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = chain.request(asked["method"], asked.get("params", []))
            send(self, json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}).encode())

        def log_message(self, *args: object) -> None:
            pass

    ThreadingHTTPServer.allow_reuse_address = True
    ThreadingHTTPServer(("127.0.0.1", request["port"]), Handler).serve_forever()


KINDS = {"coordinator": _coordinate, "settlement": _settle, "node": _node, "chain": _chain}


def _child(request: dict[str, Any]) -> None:
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, file in ((0, null), (1, log), (2, log)):
        os.dup2(file, descriptor)
    os.environ["TMPDIR"] = request["temporary"]
    if "tap" in request:
        tap_this_process(Path(request["tap"]))
    try:
        KINDS[request["start"]](request)
    except BaseException:  # noqa: BLE001 - the log says why, the status that it was so
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    import clients.app
    import clients.cli.house_processes
    import clients.cli.serve
    import clients.node.house
    import clients.training.tasks
    import coordinator.app
    import coordinator.demo.settlement
    import coordinator.engines.local  # noqa: F401 - imported once, for every child
    import fl_core.quantise.kernels  # noqa: F401 - all of this is imported once, for every child

    clients.training.tasks.load_task("heart-disease")
    assert threading.active_count() == 1, "only a process with one thread can fork"
    running: set[int] = set()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            process, status = os.waitpid(request["poll"], os.WNOHANG)
            running.discard(process)
            print(json.dumps(os.waitstatus_to_exitcode(status) if process else None), flush=True)
            continue
        process = os.fork()
        if process == 0:
            _child(request)
        running.add(process)
        print(process, flush=True)
    for process in running:
        os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main()
