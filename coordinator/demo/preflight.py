"""Looks for what would make the demo fail, before anything is written or started."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

from coordinator.curves.file import check_out
from coordinator.demo.hints import command, safe_path
from coordinator.demo.holders import choose, hospital_files
from coordinator.demo.options import MAX_ROUNDS, DemoOptions, Engine, Protection
from coordinator.engines.ports import reserve
from fl_core.errors import InputError
from fl_core.protocol.rules import LEAST_INCLUDED
from fl_core.secagg.ckks.binding import tenseal
from ledger.papers import PublicFolder

PYTHON = ((3, 11), (3, 14))
"""Oldest Python that works, and the first that does not."""

PACKAGES = ("fl_core", "ledger", "clients", "coordinator")
DISTRIBUTION = "suture-fl"

MAX_FOUNDERS = 16
"""Accounts that the ledger's contract takes when it is deployed; ``MAX_FOUNDERS`` there."""
OFFICES = 3
"""Founders that are no hospitals: coordinator, sponsor and auditor."""
MAX_HOSPITALS = MAX_FOUNDERS - OFFICES


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


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds something, or that the demo's keys would not be safe in.

    Raises:
        InputError: It holds another ledger or other files, cannot be used, or belongs to somebody else.
    """
    try:
        str(folder.absolute()).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the path {folder} is not UTF-8 text.", fix="Choose another --keep.") from error
    try:
        status = _status(folder)
        if status is not None:
            _check_existing(folder, status)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used ({error.strerror}).", fix="Choose another --keep."
        ) from error


def _status(folder: Path) -> os.stat_result | None:
    """Return the status of a path, or None where nothing is."""
    try:
        return folder.stat()
    except FileNotFoundError:
        return None


def _check_existing(folder: Path, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode):
        raise InputError(f"{folder} is not a folder.", fix="Choose another --keep.")
    if PublicFolder(folder / "public").chain.exists():
        verify = command("suture-audit", "verify", safe_path(folder))
        raise InputError(
            f"{folder} holds the ledger of another run.",
            fix=f"Choose another --keep, or look at that run with `{verify}`.",
        )
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty.", fix="Choose another --keep.")
    if status.st_uid != os.geteuid() or status.st_mode & stat.S_IWOTH:
        raise InputError(
            f"others own {folder} or may write to it, so keys would not be safe there.",
            fix="Choose a --keep that does not exist yet.",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{folder} cannot be written (Permission denied).", fix="Choose another --keep.")


def check_names(hospitals: Sequence[str]) -> None:
    """Refuse names that cannot be shown in a line.

    Raises:
        InputError: A name is empty, or holds a line break or another character that is not printed.
    """
    for name in hospitals:
        if not name.strip() or not name.isprintable():
            raise InputError(
                f"{name!r} is not a name for a hospital.",
                fix="Use letters, digits and spaces in that column.",
            )


def check_numbers(options: DemoOptions) -> None:
    """Refuse numbers out of range, or without a use.

    Raises:
        InputError: One is; says which.
    """
    if not 1 <= options.rounds <= MAX_ROUNDS:
        raise InputError(f"--rounds lies between 1 and {MAX_ROUNDS}, not {options.rounds}.")
    if not 0 <= options.seed < 1 << 53:
        raise InputError(f"--seed lies between 0 and 2^53, not {options.seed}.")
    if not 0 <= options.drop <= options.rounds:
        raise InputError(f"--drop names one of the {options.rounds} rounds, not round {options.drop}.")
    if options.port is not None and options.engine is Engine.LOCAL:
        raise InputError(
            "--port is the SuperLink's, and the engine 'local' starts none.",
            fix="Add --engine deployment, or leave --port out.",
        )


def check_count(chosen: int, options: DemoOptions) -> None:
    """Refuse a protected run of too few or too many hospitals.

    Raises:
        InputError: There are; says how many there may be.
    """
    if options.plain:
        return
    least = LEAST_INCLUDED + (1 if options.drop else 0)
    if chosen < least:
        raise InputError(
            f"a protected sum needs {LEAST_INCLUDED} hospitals"
            + (", and --drop takes one away" if options.drop else "")
            + f"; {chosen} were chosen.",
            fix=f"Choose --hospitals {least} or more.",
        )
    if chosen > MAX_HOSPITALS:
        raise InputError(
            f"the demo's ledger is founded by at most {MAX_FOUNDERS} accounts, {OFFICES} of which are no hospitals;"
            f" {chosen} hospitals were chosen.",
            fix=f"Choose --hospitals {MAX_HOSPITALS} or fewer.",
        )


def check_ledger(options: DemoOptions) -> None:
    """Refuse a node on which the demo's accounts, which own nothing, could not write.

    Raises:
        InputError: It does not answer, or wants money; or the run has no ledger.
    """
    url = options.ledger_url
    if url is None:
        return
    if options.protection is not Protection.LATTICE:
        raise InputError("--ledger-url needs a protected run: the others leave no rounds on a ledger.")
    if not url.startswith(("http://", "https://")):
        raise InputError(  # without the text: it may hold credentials
            "What --ledger-url names is no http(s) URL.", fix="Give the address of a JSON-RPC node."
        )
    from ledger.chain.connection import Web3Connection
    from ledger.errors import LedgerError

    try:
        fees = Web3Connection(url).fees()
    except LedgerError as error:
        raise InputError(
            f"the node at --ledger-url cannot be used: {error.message}", fix=error.fix
        ) from error
    if fees.gas_price or fees.max_fee:
        raise InputError(
            "the node at --ledger-url wants money for gas, and the demo's accounts own none.",
            fix="Use a chain with a base fee of 0, for example anvil --block-base-fee-per-gas 0.",
        )


def preflight(options: DemoOptions) -> dict[str, bytes]:
    """Check everything and return the chosen hospitals' files.

    Raises:
        InputError: Something would make the demo fail; says what and how to mend it.
    """
    check_python()
    check_import_names()
    check_folder(options.folder)
    check_numbers(options)
    if options.engine is Engine.DEPLOYMENT and options.port is not None:
        reserve([options.port])
    if options.ckks:
        tenseal()
    if options.curves is not None:
        check_out(options.curves)
    check_ledger(options)
    files = hospital_files(options.table, options.data)
    chosen = choose(list(files), options.hospitals)
    check_names(chosen)
    check_count(len(chosen), options)
    return {name: files[name] for name in chosen}
