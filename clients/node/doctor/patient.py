"""What the checks of the doctor look at, and what they say."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from clients.node.network import Network, read_network
from fl_core.errors import InputError
from ledger.files import read_plain

DISTRIBUTION = "suture-fl"
MAX_CONFIG = 1 << 20  # bytes


class Grade(Enum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        grade: How bad it is.
        found: What was found and what it means, in one sentence.
        mend: What to do about it; empty where nothing has to be done.
    """

    grade: Grade
    found: str
    mend: str = ""


def ok(found: str) -> Finding:
    """Return a finding that nothing is wrong."""
    return Finding(grade=Grade.OK, found=found)


def warning(found: str, mend: str) -> Finding:
    """Return a finding that a person should look at."""
    return Finding(grade=Grade.WARNING, found=found, mend=mend)


def failure(found: str, mend: str) -> Finding:
    """Return a finding with which the node does not work, or not safely."""
    return Finding(grade=Grade.FAILURE, found=found, mend=mend)


def _requirements() -> Sequence[str]:
    return importlib.metadata.requires(DISTRIBUTION) or ()


def _compiled_code() -> str | None:
    from fl_core.lattice.kernels import stored_in  # numba takes long to import

    return stored_in()


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is asked of the machine, so that a test can be another one.

    Attributes:
        python: Version of the interpreter.
        requirements: What the distribution needs, as pip writes it.
        version: Installed version of a distribution; raises ``PackageNotFoundError``.
        packages: Import name -> distributions that bring it.
        free: Free bytes on the disk of a path.
        user: Effective user id.
        compiled_code: The folder where compiled code is kept for the next process; None where there is none.
    """

    python: tuple[int, int] = (sys.version_info[0], sys.version_info[1])
    requirements: Callable[[], Sequence[str]] = _requirements
    version: Callable[[str], str] = importlib.metadata.version
    packages: Callable[[], Mapping[str, Sequence[str]]] = importlib.metadata.packages_distributions
    free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
    user: Callable[[], int] = os.geteuid
    compiled_code: Callable[[], str | None] = _compiled_code


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A node's folder on a machine at a time.

    Attributes:
        folder: The folder.
        now: Unix time in seconds, by this machine's clock.
        machine: The machine.
        timeout_s: Longest wait for one partner, in seconds.
    """

    folder: Path
    now: int
    machine: Machine = field(default_factory=Machine)
    timeout_s: float = 5.0

    @cached_property
    def config(self) -> dict[str, Any]:
        """``node.toml`` as parsed; raises :class:`InputError`."""
        path = self.folder / "node.toml"
        try:
            return tomllib.loads(read_plain(path, MAX_CONFIG).decode())
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror}).",
                fix="Name the folder that `suture-node init` made.",
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not valid TOML ({error}).", fix="Mend that line.") from error

    @cached_property
    def network(self) -> Network:
        """The section ``[network]``; raises :class:`InputError`."""
        return read_network(self.config, self.folder)
