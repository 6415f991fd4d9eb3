"""How far a launch has come, on disk before anything that it does leaves this machine.

::

    FOLDER/launch/
      state.json             this: plan and step, replaced atomically
      run.toml               the run file as it was read
      terms.json             the terms document
      initial.safetensors    the model that round 1 trains from
      APP/, APP.fab          the app bundle that the terms name

The folder appears as a whole, by one rename: half a launch is never seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields, replace
from enum import Enum
from pathlib import Path

from coordinator.errors import RunStateError
from coordinator.store.presence import take, taken
from fl_core.codec import read_json
from fl_core.errors import DecodeError, InputError
from ledger.files import read_plain, write_atomically

FORMAT = "suture-launch-v1"
MAX_STATE = 1 << 20  # bytes
PRIVATE = 0o600
ALONE_S = 0.5
"""Seconds for which a command waits for the lock of another one: whoever only asks whether one is at work has it for a moment."""


class Step(Enum):
    """What was done last; each is written before the effects of the next one."""

    PREPARED = "prepared"  # all papers are written; nothing was sent
    CREATED = "created"  # run, escrow, coordinator's key and first model are on the ledger
    CONSENTED = "consented"  # enough holders consent
    SUBMITTING = "submitting"  # the SuperLink may have been told
    SUBMITTED = "submitted"  # the SuperLink knows the run
    ABORTED = "aborted"  # nothing is started any more; the ledger may not know yet


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchState:
    """A launch; all values are texts and numbers, paths are absolute, bytes hexadecimal."""

    step: str
    run: str
    terms: str
    app: str
    ledger: str
    researcher: str
    coordinator: str
    token: str
    escrow: str
    budget: int
    closing_delay: int
    consents: int
    superlink: str
    relay: bool
    train_deadline: float
    reveal_deadline: float
    flower_run: str
    names: dict[str, str]
    curves: str = ""

    def encode(self) -> bytes:
        """Return the document."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, indent=1).encode() + b"\n"


class LaunchFolder:
    """A run's folder, as launching sees it.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.launch = path / "launch"
        self._state = self.launch / "state.json"
        self._lock = self.launch / ".lock"

    def exists(self) -> bool:
        """Whether a launch was prepared here."""
        return self._state.is_file()

    def read(self) -> LaunchState:
        """Return the state.

        Raises:
            InputError: Nothing was launched here.
            RunStateError: The file is damaged.
        """
        fix = "Give `folder` of the run file (runs/NAME), or begin with suture launch run.toml."
        if self.path.exists() and not self.path.is_dir():  # the run file itself, most often
            raise InputError(f"{self.path} is not the folder of a launched run.", fix=fix)
        try:
            values = read_json(read_plain(self._state, MAX_STATE), limit=MAX_STATE, what=FORMAT)
            if not isinstance(values, dict) or values.pop("format") != FORMAT:
                raise ValueError("another format")
            known = {field.name: field.default is MISSING for field in fields(LaunchState)}
            if not {name for name, needed in known.items() if needed} <= set(values) <= set(known):
                raise ValueError("other fields")
            Step(values["step"])
            return LaunchState(**values)
        except FileNotFoundError as error:
            raise InputError(f"{self.path} is not the folder of a launched run.", fix=fix) from error
        except (OSError, ValueError, KeyError, TypeError, DecodeError) as error:
            raise RunStateError(f"{self._state} is damaged ({error}).") from error

    def write(self, state: LaunchState) -> None:
        """Put a state on disk."""
        write_atomically(self._state, state.encode(), PRIVATE)

    def reach(self, state: LaunchState, step: Step, **changes: str) -> LaunchState:
        """Note a step and return the state with it."""
        state = replace(state, step=step.value, **changes)  # type: ignore[arg-type]  # the named fields are texts
        self.write(state)
        return state

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep out other commands that launch, resume, abort or fetch this run.

        Raises:
            InputError: One is under way.
        """
        with self._lock.open("ab") as file:
            if not take(file.fileno(), ALONE_S):
                raise InputError(
                    f"Another suture launch, resume, abort or fetch works on {self.path}.",
                    fix="Wait for its end, or end it.",
                )
            yield

    def busy(self) -> bool:
        """Whether a command is :meth:`alone` here."""
        return taken(self._lock)
