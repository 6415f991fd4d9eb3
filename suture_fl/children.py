"""Processes that one of our processes keeps running: started again when they die, ended with it.

A child leads a process group of its own, which is ended as a whole, with everything that descends from it. What lost its parent
below us is ended by :func:`end_strays`, if we adopted it (:func:`suture_fl.processes.adopt_orphans`). On Linux, where ``setpriv`` is at hand, the kernel kills a child when
its parent dies in any way. A child that keeps dying is started again after a pause that doubles.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from suture_fl.plain_text import one_line
from suture_fl.processes import descendants, ended_children, kill_family, send_to_groups

PAUSE_S, MAX_PAUSE_S = 1.0, 30.0
STABLE_S = 60.0
"""A child that ran this long is started again without a pause."""

MAX_LOG = 1 << 24
"""Bytes of a child's log; a longer one is cut when the child is looked after, see :func:`bound_log`."""

_PIECE = 1 << 20
LOOKS, LOOK_S = 20, 0.001
"""How often, and after how many seconds, it is looked whether the line at a log's end is whole before the log is cut."""
TELL_S = 3600.0
"""Seconds before it is told again that a log is not kept short."""
LAST_LINE = 2000
"""Most bytes that are told of a log's last line."""
END_S = 10.0
"""Seconds that a child has to end after SIGTERM."""


@dataclass(kw_only=True)
class Child:
    """One process.

    Attributes:
        name: For the log.
        command: Program and arguments.
        environment: Its whole environment.
        log: File that its output is appended to; of what is too long the newest part is kept beside it.
        user: User and group number that it runs as; None is our own. Needs root and ``setpriv``.
        folder: Its working folder; None is our own.
        longest_pause: Most seconds before it is started again.
        quoted: Whether the last line of its log is told when it ends. Not of one that can hold records of people: its path is all that is told.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    user: tuple[int, int] | None = None
    folder: Path | None = None
    longest_pause: float = MAX_PAUSE_S
    quoted: bool = False
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _started: float = 0.0
    _next: float = 0.0
    _pause: float = PAUSE_S
    _tell_next: float = 0.0

    def start(self, now: float) -> None:
        """Start it."""
        self._started = now
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                _tied(self.command, self.user),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.environment),
                cwd=self.folder,
                start_new_session=True,
            )

    def tend(self, now: float, say: Callable[[str], None]) -> None:
        """Start it if it does not run, is due, and say so; keep its log short.

        Raises:
            OSError: Its first start failed. A later one, and all that is wrong with its log, is said and tried again.
        """
        self._keep_log_short(now, say)
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self.kill()
            self._process = None
            line = last_line(self.log) if self.quoted else ""
            where = f". Its log {self.log} ends: {line}" if line else f". Its log is {self.log}"
            self._start_later(now, say, f"ended with status {status}", where)
        if now >= self._next:
            try:
                self.start(now)
            except OSError as error:
                if self._next == 0.0:
                    raise
                self._start_later(now, say, f"does not start ({error})")

    def _start_later(self, now: float, say: Callable[[str], None], why: str, where: str = "") -> None:
        stable = now - self._started > STABLE_S
        self._pause = PAUSE_S if stable else min(2 * self._pause, self.longest_pause)
        self._next = now + self._pause
        say(f"{self.name} {why}; it is started again in {self._pause:.0f} s{where}")

    def _keep_log_short(self, now: float, say: Callable[[str], None]) -> None:
        """Bound the log. Whoever writes it is not trusted, and neither is the disk: no log ends who looks after the child, or fills what that one logs."""
        try:
            bound_log(self.log, MAX_LOG)
        except OSError as error:
            if now >= self._tell_next:
                self._tell_next = now + TELL_S
                say(f"{self.name}'s log is not kept short, or what was cut off it is lost: {error}")

    def ask_to_end(self) -> None:
        """Send SIGTERM to it."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and its group now."""
        if self._process is not None:
            if self._process.poll() is None:
                kill_family([self._process.pid])
            else:
                send_to_groups([self._process.pid], signal.SIGKILL)
            self._process.wait()

    @property
    def process(self) -> int | None:
        """Its process number; None before it was started."""
        return None if self._process is None else self._process.pid

    @property
    def running_since(self) -> float | None:
        """When it was started, by the clock given to :meth:`start`; None while it does not run."""
        return None if self._process is None or self._process.poll() is not None else self._started

    def wait(self, seconds: float) -> bool:
        """Return whether it ended within some seconds."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True


def bound_log(log: Path, limit: int) -> None:
    """Empty a log that is longer than ``limit``; its last ``limit`` bytes are in ``NAME.1`` then, in place of what was there.

    Whoever writes to it appends, so it goes on from the beginning. What is written during the copy is lost. The writer may also
    shorten it at any moment, so no size is what it was.

    Raises:
        OSError: It could not be emptied; or it was, and not all of its end could be kept.
    """
    with suppress(FileNotFoundError), log.open("r+b", buffering=0) as full:
        size = _between_lines(full, limit)
        if size <= limit:
            return
        full.seek(size - limit)
        try:
            _keep(full, _older(log), limit)
        finally:
            full.truncate(0)


def _between_lines(log: io.FileIO, limit: int) -> int:
    """Return the log's size; one above ``limit`` once it ends with a line, if that is soon: a line over the end of a page is there in two steps."""
    size = os.fstat(log.fileno()).st_size
    for _ in range(LOOKS):
        if size <= limit or os.pread(log.fileno(), 1, size - 1) == b"\n":
            break
        time.sleep(LOOK_S)
        size = os.fstat(log.fileno()).st_size
    return size


def _keep(log: io.FileIO, older: Path, limit: int) -> None:
    """Copy at most ``limit`` bytes from where ``log`` stands; a full disk keeps less of them. No link is followed and no pipe waited for."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(older, flags, 0o600), "wb") as kept:
        while limit > 0 and (piece := log.read(min(limit, _PIECE))):
            kept.write(piece)
            limit -= len(piece)


def last_line(log: Path) -> str:
    """Return a log's last line that is not empty, at most :data:`LAST_LINE` bytes of it; empty where there is none. No link is followed and no pipe waited for."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(log, flags), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LAST_LINE))
            lines = file.read(LAST_LINE).decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((one_line(line) for line in reversed(lines) if line.strip()), "")


def _older(log: Path) -> Path:
    return log.with_name(f"{log.name}.1")


def end_all(children: Sequence[Child]) -> None:
    """End children, the last one first, with SIGTERM and at last with SIGKILL."""
    end = time.monotonic() + END_S
    for child in reversed(children):
        child.ask_to_end()
        child.wait(end - time.monotonic())
        child.kill()


def end_strays(children: Sequence[Child]) -> set[int]:
    """Kill everything below this process that belongs to none of the running ``children``; return what it was.

    That is what a child left behind: daemons with sessions of their own, too, where we adopt orphans.
    """
    roots = {child.process for child in children if child.running_since is not None}
    ours = {pid for pid in roots if pid is not None}
    strays = descendants([os.getpid()]) - ours - descendants(ours)
    kill_family(strays)
    for process in ended_children(os.getpid()) - {child.process for child in children}:
        with suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)
    return strays


def _tied(command: Sequence[str], user: tuple[int, int] | None) -> list[str]:
    """Return the command that dies with its parent and runs as ``user``, as far as this system can do that."""
    program = shutil.which("setpriv")
    if program is None:
        if user is not None:
            raise OSError("this system has no setpriv, which runs a program as another user")
        return list(command)
    rights = (
        []
        if user is None
        else [f"--reuid={user[0]}", f"--regid={user[1]}", "--clear-groups", "--no-new-privs"]
    )
    return [program, "--pdeathsig", "KILL", *rights, "--", *command]
