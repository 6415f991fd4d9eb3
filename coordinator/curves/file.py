"""Writes a run's curves as an event file of TensorBoard, which only ever grows and whose bytes follow from the run's events.

So it can be made while the run goes on, afterwards, or both, by one process or several, killed at any point: what is there is compared and
what is missing is appended; nothing is written twice. Records and framing are TensorBoard's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import logging
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.curves.points import Point, Points
from coordinator.store.events import Event, EventTail
from fl_core.errors import DecodeError, InputError
from ledger.papers import PublicFolder, RunPaper

if TYPE_CHECKING:
    from typing import Any

log = logging.getLogger("suture.curves")

NAME = "events.out.tfevents.0.suture"
"""TensorBoard knows its files by ``tfevents``; usually time and host stand in the name, here neither, so that a second process finds it."""

FILE_VERSION = "brain.Event:2"
ROUND_ENDS = frozenset({"round-finalised", "round-failed"})


def check_installed() -> None:
    """Check that TensorBoard can be imported, without importing it.

    Raises:
        InputError: It is not installed.
    """
    if find_spec("tensorboard") is None:
        raise InputError(
            "training curves need TensorBoard, which is not installed.",
            fix="Install it with `pip install 'suture-fl[curves]'`, or leave the curves out: `suture run curves` makes them later.",
        )


def check_out(out: Path) -> None:
    """Check that curves can be written into a folder, before anything is started; nothing is made yet.

    Raises:
        InputError: TensorBoard is not installed, or the folder could not be made or written.
    """
    check_installed()
    place = out.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InputError(
            f"{out} cannot be made or written: {place} is no folder, or not yours to write to.",
            fix="Choose another folder for the curves.",
        )


def events_of(folder: Path) -> Path:
    """Return a run's event file.

    Raises:
        InputError: The folder has none.
    """
    for path in (folder / "coordinator" / "events.jsonl", folder / "events.jsonl"):
        if path.is_file():
            return path
    raise InputError(
        f"{folder} holds no events of a run.",
        fix="Name the folder of a run that was kept or launched, on the coordinator's machine.",
    )


def name_of(folder: Path, events: Path) -> str:
    """Return the name under which TensorBoard shows a run: by its id, or without a ledger by its first event."""
    try:
        return f"run-{RunPaper.decode(PublicFolder(folder / 'public').run.read_bytes()).run[:16]}"
    except (OSError, DecodeError):
        with events.open("rb") as file:
            return f"plain-{hashlib.sha256(file.readline()).hexdigest()[:16]}"


class Curves:
    """A run's curves: reads its event file, writes its event file of TensorBoard.

    Args:
        folder: The run's folder; it has events.
        out: TensorBoard's ``--logdir``; each run has a folder in it.

    Raises:
        InputError: There are no events, or TensorBoard is not installed.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        check_installed()
        events = events_of(folder)
        self.path = out / name_of(folder, events) / NAME
        self._tail, self._points = EventTail(events), Points()
        self._known, self._pending, self._begun = 0, b"", False
        self.rounds = self.points = 0

    def update(self) -> None:
        """Write what the events say since the last call.

        Raises:
            InputError: The file holds something else; it is left as it is.
            OSError: It cannot be written; the next call may, what is missing then is appended.
        """
        for event in self._tail.new():
            if not self._begun:
                self._pending += _record(wall_time=_time(event), file_version=FILE_VERSION)
                self._begun = True
            points = self._points.take(event)
            self.rounds += bool(points)
            self.points += len(points)
            self._pending += _records(points)
        if self._pending:
            self._append()

    def _append(self) -> None:
        """Compare what is pending with what the file has beyond what is known, and append the rest."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(self._known)
            there = file.read(len(self._pending))
            if file.seek(0, os.SEEK_END) < self._known or not self._pending.startswith(there):
                raise InputError(
                    f"{self.path} holds other curves than this run's events make.",
                    fix="Delete it, or choose another folder for the curves.",
                )
            file.write(self._pending[len(there) :])
        self._known += len(self._pending)
        self._pending = b""


class LiveCurves:
    """Curves of a run that goes on. Training never fails because of them: what cannot be written is told once and tried again.

    Args:
        folder: The run's folder.
        out: TensorBoard's ``--logdir``.

    Raises:
        InputError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, out: Path) -> None:
        check_installed()
        self._folder, self._out = folder, out
        self._curves: Curves | None = None
        self._told = False

    def hear(self, event: Event) -> None:
        """Write the curves when a round has ended; the event is on disk by then."""
        if event["event"] not in ROUND_ENDS:
            return
        try:
            if self._curves is None:
                self._curves = Curves(self._folder, self._out)
            self._curves.update()
        except (InputError, OSError) as error:
            if not self._told:
                log.warning("the curves are not written: %s", error)
            self._told = True


def _records(points: Sequence[Point]) -> bytes:
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    return b"".join(
        _record(wall_time=point.at, step=point.step, summary=scalar_pb(point.tag, point.value))
        for point in points
    )


def _record(**fields: Any) -> bytes:  # noqa: ANN401 - fields of a message of TensorBoard, which has no types
    from tensorboard.compat.proto.event_pb2 import Event as Record
    from tensorboard.summary.writer.record_writer import RecordWriter

    framed = io.BytesIO()
    RecordWriter(framed).write(Record(**fields).SerializeToString(deterministic=True))
    return framed.getvalue()


def _time(event: Event) -> float:
    at = event.get("at")
    return float(at) if isinstance(at, int | float) else 0.0
