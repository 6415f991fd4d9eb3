"""The table of the doctor's checks: number, name, what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients.node.doctor.house_checks import (
    check_data,
    check_folder,
    check_keys,
    check_leftovers,
    check_policy,
    check_register,
)
from clients.node.doctor.machine_checks import check_clock, check_disk, check_names, check_versions
from clients.node.doctor.partner_checks import check_copy, check_ledger, check_member, check_partners
from clients.node.doctor.patient import Finding, Grade, Patient, failure
from fl_core.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One row.

    Attributes:
        number: From 1; never given to another check.
        name: One word, for ``--only``.
        looks: Returns what it found.
    """

    number: int
    name: str
    looks: Callable[[Patient], list[Finding]]


_ROWS: tuple[tuple[str, Callable[[Patient], list[Finding]]], ...] = (
    ("versions", check_versions),
    ("names", check_names),
    ("clock", check_clock),
    ("disk", check_disk),
    ("folder", check_folder),
    ("keys", check_keys),
    ("data", check_data),
    ("policy", check_policy),
    ("ledger", check_ledger),
    ("member", check_member),
    ("copy", check_copy),
    ("register", check_register),
    ("partners", check_partners),
    ("leftovers", check_leftovers),
)
_OF_THE_MACHINE = (check_versions, check_names)
"""What can be looked at without a node's folder."""
CHECKS = tuple(Check(number=n, name=name, looks=looks) for n, (name, looks) in enumerate(_ROWS, 1))


def chosen(only: str) -> tuple[Check, ...]:
    """Return the checks that ``--only`` names by number or name, separated by commas; all where it is empty.

    Raises:
        InputError: There is no such check.
    """
    words = [word.strip() for word in only.split(",") if word.strip()]
    by_word = {word: check for check in CHECKS for word in (check.name, str(check.number))}
    for word in words:
        if word not in by_word:
            names = ", ".join(f"{check.number} {check.name}" for check in CHECKS)
            raise InputError(f"there is no check {word!r}.", fix=f"The checks are {names}.")
    return tuple(check for check in CHECKS if not words or {check.name, str(check.number)} & set(words))


def examine(patient: Patient, checks: Sequence[Check]) -> list[tuple[Check, Finding]]:
    """Make checks in their order; where there is no node's folder, only those of the machine and one that says so."""
    away = _no_home(patient.folder)
    able = [check for check in checks if away is None or check.looks in _OF_THE_MACHINE]
    found = [(check, finding) for check in able for finding in check.looks(patient)]
    if away is not None:
        (folder,) = (check for check in CHECKS if check.looks is check_folder)
        found.append((folder, away))
    return found


def _no_home(folder: Path) -> Finding | None:
    """Return the finding that a folder is no node's, or is closed to this user; None where it can be looked at."""
    try:
        if (folder / "node.toml").exists():
            return None
        reason = "it has no node.toml." if folder.is_dir() else "it does not exist."
    except PermissionError:
        return failure(
            f"{folder} is closed to this user.",
            "Run this as the user that the node runs as: sudo -u USER ...",
        )
    return failure(
        f"{folder} is no node's folder: {reason}",
        f"Name the folder that `suture-node init` made; or make one: suture-node init {folder} --name ... --data ...",
    )


def worst(findings: Sequence[tuple[Check, Finding]]) -> Grade:
    """Return the worst grade among findings."""
    grades = {finding.grade for _, finding in findings}
    return next((grade for grade in (Grade.FAILURE, Grade.WARNING) if grade in grades), Grade.OK)
