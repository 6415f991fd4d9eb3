"""A process that runs the ServerApp against given nodes and can be killed: ``python -m tests.simulators.killable_coordinator``.

It imports everything once and then forks one child for each line on its standard input, so that a kill lands in the work
and not in the start. A line is JSON: ``{"folder", "doors", "rounds", "log", "effects"}``. It answers with the child's
process number, and after the child's end with its exit status. With ``effects`` the child kills itself right before that many
files were written or renamed below ``folder``; the nodes live elsewhere and go on.

:class:`KillableCoordinator` is the other end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

ROOT = Path(__file__).parents[2]
_WRITES = os.O_WRONLY | os.O_RDWR


class KillableCoordinator:
    """Starts coordinators one after the other."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.killable_coordinator"],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._in, self._out = self._parent.stdin, self._parent.stdout
        assert self._out.readline() == b"ready\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in.close()
        self._parent.wait(30)
        self._out.close()

    def start(self, folder: Path, doors: Sequence[str], *, rounds: int, log: Path, effects: int = 0) -> int:
        """Start the ServerApp and return its process number."""
        request = {
            "folder": str(folder),
            "doors": list(doors),
            "rounds": rounds,
            "log": str(log),
            "effects": effects,
        }
        self._in.write(json.dumps(request).encode() + b"\n")
        return int(self._out.readline())

    def kill(self, process: int) -> None:
        """Kill it in a way that it cannot notice."""
        with suppress(ProcessLookupError):  # it ended by itself; its exit status will say how
            os.kill(process, signal.SIGKILL)

    def ended(self, process: int, seconds: float = 60.0) -> int:
        """Wait for the end of the one that was started last; return its exit status, negative for a signal.

        Raises:
            TimeoutError: It does not end; it is killed now.
        """
        if not select.select([self._out], [], [], seconds)[0]:
            self.kill(process)
            self._out.readline()
            raise TimeoutError(f"the coordinator has not ended within {seconds:.0f} seconds")
        return int(self._out.readline())


def _arm(folder: str, effects: int) -> None:
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


def _coordinate(request: dict[str, Any]) -> None:
    from coordinator import app
    from coordinator.demo.holders import CLIENT_APP
    from coordinator.engines.local import run_local
    from coordinator.engines.local_node import Handler
    from coordinator.engines.references import load

    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    if request["effects"]:
        _arm(request["folder"], request["effects"])
    config = {
        **app.SETTINGS,
        app.FOLDER: request["folder"],
        app.NODES: len(request["doors"]),
        app.ROUNDS: request["rounds"],
        app.TRAIN_DEADLINE: 60.0,
        app.REVEAL_DEADLINE: 60.0,
        app.PROTECTION: "lattice",
    }
    doors = [{"door": door} for door in request["doors"]]
    run_local(app.make_server_app(), cast(Handler, load(CLIENT_APP)), doors, config)


def main() -> None:
    import clients.app
    import clients.training.tasks
    import coordinator.app
    import coordinator.engines.local  # noqa: F401 - imported once, for every child
    import fl_core.quantise.kernels  # noqa: F401 - all of this is imported once, for every child

    clients.training.tasks.load_task("heart-disease")
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _coordinate(json.loads(line))
            except BaseException:  # noqa: BLE001 - the log says why, the status that it was so
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
