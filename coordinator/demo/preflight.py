"""Looks for what would make the demo fail, before anything is written or started."""

from __future__ import annotations

import sys
from importlib.metadata import packages_distributions

from coordinator.demo.holders import choose, hospital_files
from coordinator.demo.options import MAX_ROUNDS, DemoOptions, Engine
from coordinator.engines.ports import reserve
from fl_core.errors import InputError
from fl_core.protocol.rules import LEAST_INCLUDED
from fl_core.secagg.ckks.library import tenseal
from ledger.papers import PublicFolder

PYTHON = ((3, 11), (3, 14))
"""Oldest Python that works, and the first that does not."""

PACKAGES = ("fl_core", "ledger", "clients", "coordinator")
DISTRIBUTION = "suture-fl"


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Refuse a Python that Suture does not run on.

    Raises:
        InputError: It is too old or too new.
    """
    low, high = PYTHON
    if not low <= version < high:
        raise InputError(
            f"Suture runs on Python {low[0]}.{low[1]} to {high[0]}.{high[1] - 1}, this is {version[0]}.{version[1]}.",
            fix="Make a virtual environment with one of these.",
        )


def check_import_names(installed: dict[str, list[str]] | None = None) -> None:
    """Refuse to run where another distribution brings a package of ours.

    Args:
        installed: Import name -> distributions; what is installed by default.

    Raises:
        InputError: One does; names both.
    """
    found = packages_distributions() if installed is None else installed
    for package in PACKAGES:
        others = sorted(
            {name for name in found.get(package, ()) if name.lower().replace("_", "-") != DISTRIBUTION}
        )
        if others:
            raise InputError(
                f"the package {package!r} also comes with {', '.join(others)}, so either could be imported.",
                fix=f"Uninstall it, or install {DISTRIBUTION} alone in a virtual environment.",
            )


def check_folder(options: DemoOptions) -> None:
    """Refuse a folder that holds something.

    Raises:
        InputError: It holds another ledger or other files, or cannot be written.
    """
    folder = options.folder
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder.", fix="Choose another --keep.")
    if PublicFolder(folder / "public").chain.exists():
        raise InputError(
            f"{folder} holds the ledger of another run.",
            fix=f"Choose another --keep, or look at that run with `suture-audit verify {folder}`.",
        )
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty.", fix="Choose another --keep.")


def preflight(options: DemoOptions) -> dict[str, bytes]:
    """Check everything and return the chosen hospitals' files.

    Raises:
        InputError: Something would make the demo fail; says what and how to mend it.
    """
    check_python()
    check_import_names()
    check_folder(options)
    if not 1 <= options.rounds <= MAX_ROUNDS:
        raise InputError(f"--rounds lies between 1 and {MAX_ROUNDS}, not {options.rounds}.")
    if not 0 <= options.seed < 1 << 53:
        raise InputError(f"--seed lies between 0 and 2^53, not {options.seed}.")
    if not 0 <= options.drop <= options.rounds:
        raise InputError(f"--drop names one of the {options.rounds} rounds, not round {options.drop}.")
    if options.engine is Engine.DEPLOYMENT and options.port is not None:
        reserve([options.port])
    if options.ckks:
        tenseal()
    files = hospital_files(options.data)
    chosen = choose(list(files), options.hospitals)
    least = LEAST_INCLUDED + (1 if options.drop else 0)
    if len(chosen) < least and not options.plain:
        raise InputError(
            f"a protected sum needs {LEAST_INCLUDED} hospitals"
            + (", and --drop takes one away" if options.drop else "")
            + f"; {len(chosen)} were chosen.",
            fix=f"Choose --hospitals {least} or more.",
        )
    return {name: files[name] for name in chosen}
