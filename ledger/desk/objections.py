"""Putting a dispute about a round, or about a run as a whole, on record. It has no effect, so nobody can abuse it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fl_core.errors import InputError
from ledger.desk.desk import Desk, Step, effects
from ledger.files import read_plain
from ledger.views.window import Answer

MAX_STATEMENT = 1 << 28
"""Bytes of a statement whose digest goes on the ledger."""


def object_to(desk: Desk, run: str | None, number: int, statement: Path) -> None:
    """Put an objection on record; the ledger gets the statement's SHA-256, the statement stays where it is.

    Args:
        desk: The desk of a holder or an auditor.
        run: How a person names the run.
        number: The round, or 0 for the run as a whole.
        statement: The document with what is wrong.

    Raises:
        InputError: There is no such run or round, or the statement cannot be read.
    """
    found = desk.run(run)
    if number > found.opened:
        raise InputError(
            f"The run has had {found.opened} rounds, none with the number {number}.",
            fix="Name one of them with --round, or leave it out to object to the run as a whole.",
        )
    reason, me = _digest(statement), desk.account.address
    named = {"run": f"0x{found.id.hex()}", "round": number, "reason": f"0x{reason.hex()}"}
    if effects(desk, "Objection", run=found.id, round=number, member=me, reason=reason):
        said = "This objection is on record already."
        desk.show(Answer({"dry_run": desk.wishes.dry_run, "transactions": [], **named}, [said]))
        return
    what = f"round {number} of the run" if number else "the run"
    step = Step(
        f"object to {what} 0x{found.id.hex()} with the statement {statement.name} (SHA-256 {reason.hex()})",
        f"{found.id.hex()}/{number}/objection/{reason.hex()}",
        lambda w, i: w.objection(found.id, number, reason, intent=i),
    )
    desk.act([step], extra=named)


def _digest(statement: Path) -> bytes:
    try:
        return hashlib.sha256(read_plain(statement, MAX_STATEMENT)).digest()
    except OSError as error:
        raise InputError(f"{statement} cannot be read ({error.strerror}).", fix="Name a file.") from error
