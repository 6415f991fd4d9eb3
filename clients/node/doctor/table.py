"""The table of the doctor's checks: number, name, what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from clients.node.doctor.patient import Finding, Grade, Patient
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
    """Make checks in their order."""
    return [(check, finding) for check in checks for finding in check.looks(patient)]


def worst(findings: Sequence[tuple[Check, Finding]]) -> Grade:
    """Return the worst grade among findings."""
    grades = {finding.grade for _, finding in findings}
    return next((grade for grade in (Grade.FAILURE, Grade.WARNING) if grade in grades), Grade.OK)
