"""How far launched runs have come, in one line each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coordinator.launch.state import LaunchFolder
from coordinator.launch.watch import on_ledger
from coordinator.store.events import EventTail
from fl_core.errors import SutureError

PLACES = ("*", "runs/*")
"""Where runs are looked for, below a folder: beside the run file, and where a run file puts its run by default."""


def launched(place: Path) -> Iterator[LaunchFolder]:
    """Yield the launched runs in a folder and in its folder ``runs``, in the order of their names."""
    found = {path.resolve(): path for pattern in PLACES for path in place.glob(pattern) if path.is_dir()}
    for path in sorted(found.values()):
        if (folder := LaunchFolder(path)).exists():
            yield folder


def row(folder: LaunchFolder) -> dict[str, Any]:
    """Return what there is to say about a run; a folder or ledger that cannot be read says so in ``problem``."""
    try:
        return facts_of(folder) | {"problem": ""}
    except SutureError as error:
        return {"folder": str(folder.path), "problem": error.message}


def facts_of(folder: LaunchFolder) -> dict[str, Any]:
    """Return how far a run has come.

    Raises:
        InputError: Nothing was launched there.
        RunStateError: Its file is damaged.
        LedgerError: The ledger does not answer.
    """
    state = folder.read()
    found = on_ledger(state)
    events = list(EventTail(folder.path / "coordinator" / "events.jsonl").new())
    return {
        "folder": str(folder.path),
        "run": f"0x{state.run}",
        "step": state.step,
        "flower_run": state.flower_run,
        "state": None if found is None else found.state.name,
        "consents": 0 if found is None else found.accepted,
        "wanted": state.consents,
        "finalised": 0 if found is None else found.finalised,
        "rounds": None if found is None else found.max_rounds,
        "event": events[-1] if events else None,
    }
