"""What erasing a data set would do, said before it is done."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from clients.node.accepted import accepted_terms
from clients.node.data_sets import commitment_of, find
from clients.node.house import load_policy
from clients.node.pledges import pledged, withdrawal
from clients.node.register_view import read_register
from fl_core.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePlan:
    """What would happen.

    Attributes:
        runs: Titles of runs that the holder consented to and that use the data set.
        stays: How many contributions name its commitment on the ledger.
        lines: All of it for a person.
    """

    runs: list[str]
    stays: int
    lines: list[str]


def plan_erasure(folder: Path, name: str) -> ErasurePlan:
    """Look what erasing a data set means; changes nothing.

    Raises:
        InputError: There is no such data set.
        NodeStateError: The register or an accepted terms document is damaged.
    """
    one, policy = find(folder, name), load_policy(folder)
    try:
        commitment = commitment_of(folder, name)
    except InputError:  # its records or its salt are gone already: what is left can be erased all the same
        commitment = b""
    runs = [terms.title for terms in accepted_terms(folder).values() if policy.data_set(terms.task) == name]
    stays = sum(found.data_set == commitment for found in read_register(folder).contributions.values())
    lines = [
        f"Data set {name!r}, commitment {commitment.hex() or 'not computable any more'}.",
        f"Erased: the salt {one.salt}" + (f" and the records {one.path}." if one.copied else "."),
    ]
    if not one.copied:
        lines.append(
            f"Not erased: {one.path}, which lies outside of the node's folder. Nothing will link it to the ledger."
        )
    lines += [
        f"Stays: {stays} contributions on the ledger name the commitment. Nobody can link it to a record after this.",
        "Stays: openings that you gave away before, and models that were trained with the data.",
        "Stays: copies in backups, snapshots and freed blocks of flash disks. Erase those, too.",
    ]
    if runs:
        lines.append(
            f"Warning: you consented to runs that use it: {', '.join(runs)}. Your node will refuse their further rounds."
        )
        lines += _to_withdraw(folder, commitment)
    return ErasurePlan(runs=runs, stays=stays, lines=lines)


def _to_withdraw(folder: Path, commitment: bytes) -> list[str]:
    """Return what to do about the consents, so that others know."""
    named = [run for run, dataset in pledged(folder).items() if dataset == commitment]
    if not named:
        return [
            f"Withdraw your consent to those that are open, so that others know; which are: suture-node consent list {shlex.quote(str(folder))}"
        ]
    return [f"Withdraw your consent, so that others know: {withdrawal(folder, run)}" for run in named]
