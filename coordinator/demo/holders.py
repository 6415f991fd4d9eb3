"""What the demo knows of the data holders' side: the shape of the objects that it loads by reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt

from coordinator.engines.references import load
from fl_core.protocol.terms import Terms
from fl_core.randomness import RandomSource

if TYPE_CHECKING:
    # Two seconds of imports, for which a person who mistypes an option need not wait.
    from ledger.chain.connection import Web3Connection

CLIENT_APP = "clients.app:app"

Settings = Mapping[str, float | int | str]


class Hospital(Protocol):
    """A data holder and what it does itself; ``clients.hospital.Hospital``."""

    @property
    def name(self) -> str: ...  # noqa: D102 - described by the class that implements it

    @property
    def account(self) -> bytes: ...  # noqa: D102

    @property
    def transport_key(self) -> bytes: ...  # noqa: D102

    @property
    def records(self) -> int: ...  # noqa: D102

    def join(self, connection: Web3Connection, contract: bytes, chain: str) -> None: ...  # noqa: D102

    def vote_in(self, account: bytes) -> None: ...  # noqa: D102

    def accept(self, run: bytes, terms: Terms) -> None: ...  # noqa: D102

    def serve_in_process(self) -> str: ...  # noqa: D102

    def cosign(self) -> None: ...  # noqa: D102

    def close(self) -> None: ...  # noqa: D102


class HospitalFactory(Protocol):
    """Makes a hospital; ``clients.hospital.Hospital``."""

    def create(
        self,
        folder: Path,
        name: str,
        records: bytes,
        *,
        tasks: tuple[str, ...],
        allow_plaintext: bool,
        allow_ckks: bool,
        clock: Callable[[], int],
        random: RandomSource,
        scrypt_cost: int,
    ) -> Hospital:
        """Make the hospital's folder with fresh keys."""
        ...


class TaskSetting(Protocol):
    """What a setting of a task may be; ``clients.training.settings.Setting``."""

    @property
    def kind(self) -> type:
        """The type that it is read as."""
        ...

    def fits(self, value: object) -> bool:
        """Whether a value has the type."""
        ...

    def problem(self, value: object) -> str | None:
        """Return what is wrong with a value of the right type, or None."""
        ...


class TrainingTask(Protocol):
    """A training task; ``clients.training.tasks.Task``."""

    counters: tuple[str, ...]
    settings: Mapping[str, TaskSetting]
    initial: Callable[[], dict[str, npt.NDArray[np.float32]]]


class Comparison(Protocol):
    """Judges a model beside others; ``clients.comparison.compare``."""

    def __call__(
        self, table: bytes, hospitals: Sequence[str], model: bytes, *, settings: Settings, rounds: int
    ) -> Mapping[str, object]:
        """Return accuracies in [0, 1]."""
        ...


def hospital_factory() -> HospitalFactory:
    """Return the class of hospitals."""
    return cast(HospitalFactory, load("clients.hospital:Hospital"))


def training_task(name: str) -> TrainingTask:
    """Return an installed training task."""
    return cast(Callable[[str], TrainingTask], load("clients.training.tasks:load_task"))(name)


def bundled_csv() -> Path:
    """Return the CSV file that ships with Suture."""
    return cast(Callable[[], Path], load("clients.comparison:bundled_csv"))()


def read_csv(path: Path) -> bytes:
    """Read a CSV file, or a pipe, once."""
    return cast(Callable[[Path], bytes], load("clients.comparison:read_csv"))(path)


def hospital_files(table: bytes, path: Path) -> dict[str, bytes]:
    """Divide a CSV file by hospital; ``path`` is its name."""
    divide = cast(Callable[[bytes, Path], dict[str, bytes]], load("clients.comparison:hospital_files"))
    return divide(table, path)


def choose(available: Sequence[str], wanted: str) -> list[str]:
    """Return the hospitals that an option names."""
    return cast(Callable[[Sequence[str], str], list[str]], load("clients.comparison:choose"))(
        available, wanted
    )


def comparison() -> Comparison:
    """Return the function that judges a model beside others."""
    return cast(Comparison, load("clients.comparison:compare"))
