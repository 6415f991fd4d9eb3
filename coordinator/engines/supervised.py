"""The parent's end of the supervisor: start, watch and kill processes that cannot outlive this one.

There is nothing to clean up by hand: if this process ends in any way, the pipe closes and the supervisor ends what it
started. :meth:`Supervised.close` does the same and waits.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from coordinator.errors import EngineError, ProcessDied

ANSWER_S = 20.0
"""Seconds within which the supervisor answers; killing a family is the slowest request."""

CLOSE_S = 20.0
"""Seconds within which the supervisor ends everything and itself; more than its own limits together."""

TAIL_BYTES = 2000
"""How much of the end of a log goes into an error."""


def tail(log: Path, max_bytes: int = TAIL_BYTES) -> str:
    """Return the last lines of a log file, or a word that there are none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            text = file.read().decode("utf-8", "replace").strip()
    except OSError as error:
        return f"({log} cannot be read: {error.strerror})"
    return text or f"({log} is empty)"


class Supervised:
    """Processes under a supervisor of their own.

    Args:
        folder: Existing folder; the supervisor's own messages go to ``supervisor.log`` in it, each process's output to
            ``<name>.log``.

    Raises:
        ProcessDied: The supervisor did not start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._buffer = b""
        self._requests = 0
        with (folder / "supervisor.log").open("wb") as log:
            self._process = subprocess.Popen(
                # -P: modules are ours, not those in the current folder
                [sys.executable, "-P", "-m", "coordinator.engines.supervisor"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.status()

    @property
    def pid(self) -> int:
        """Return the supervisor's process number."""
        return self._process.pid

    def log_of(self, name: str) -> Path:
        """Return the file that holds the output of the process ``name``."""
        return self._folder / f"{name}.log"

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> int:
        """Start a process and return its number. Its output goes to :meth:`log_of`, written anew.

        Args:
            name: Unique among the running ones, fit for a file name.
            command: Program and arguments; no shell.
            environment: The whole environment.
            folder: Working folder.

        Raises:
            EngineError: It cannot be started.
        """
        answer = self._ask(
            op="start",
            name=name,
            command=list(command),
            environment=dict(environment),
            folder=str(folder),
            log=str(self.log_of(name)),
        )
        return int(str(answer["pid"]))

    def status(self) -> dict[str, int | None]:
        """Return the exit status of every process that was started, ``None`` while it runs."""
        status = self._ask(op="status")["status"]
        assert isinstance(status, dict)
        return status

    def kill(self, names: Sequence[str]) -> None:
        """Kill the named processes and everything they started, with SIGKILL; return when they are gone."""
        self._ask(op="kill", names=list(names))

    def close(self) -> None:
        """End everything and wait until nothing is left. A second call does nothing."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.stdin.closed:
            return
        with suppress(
            BrokenPipeError
        ):  # a request that a dead supervisor never read; the pipe is closed all the same
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._process.stdout.close()

    def _ask(self, **request: object) -> dict[str, object]:
        with self._lock:
            self._requests += 1
            try:
                answer = self._exchange({"id": self._requests, **request})
            except (OSError, ValueError) as error:  # the pipe is broken or closed
                raise self._died() from error
        if "error" in answer:
            raise EngineError(
                f"The supervisor could not {request['op']} {request.get('name', '')}: {answer['error']}."
            )
        return answer

    def _exchange(self, request: dict[str, object]) -> dict[str, object]:
        """Send a request and return its answer; answers to requests that were interrupted are passed over."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        while True:
            answer = json.loads(self._read_line())
            assert isinstance(answer, dict)
            if answer["id"] == request["id"]:
                return answer

    def _read_line(self) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            if not select.select([descriptor], [], [], ANSWER_S)[0]:
                raise TimeoutError("no answer")
            received = os.read(descriptor, 1 << 16)
            if not received:
                raise BrokenPipeError("end of file")
            self._buffer += received
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _died(self) -> ProcessDied:
        return ProcessDied(
            f"The supervisor of the deployment (process {self._process.pid}) does not answer. "
            f"Its log ends: {tail(self._folder / 'supervisor.log')}"
        )
