"""Putting a model on the ledger that no round of it made: an initial model, one from outside, one from an older contract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fl_core.errors import InputError
from ledger.archive import MAX_OBJECT_BYTES
from ledger.desk.desk import Desk, Step
from ledger.desk.runs import RunId
from ledger.errors import RecordMissing
from ledger.records import EMPTY_WORD, RunState
from ledger.seal import hash_file
from ledger.typed_data import model_id
from ledger.views.window import Answer


def root(
    desk: Desk,
    model: Annotated[Path, typer.Argument(help="The model's file.", show_default=False)],
    run: RunId = None,
) -> None:
    """Register a model's file as a root of a run: rounds can train from it. Only the run's coordinator may."""
    found = desk.run(run)
    try:
        artifact = hash_file(model.resolve(), MAX_OBJECT_BYTES).sha256
    except OSError as error:
        raise InputError(f"{model} cannot be read ({error.strerror}).", fix="Name a model's file.") from error
    registered = model_id(found.id, 0, artifact)
    named = {
        "run": f"0x{found.id.hex()}",
        "artifact": f"0x{artifact.hex()}",
        "model": f"0x{registered.hex()}",
    }
    if _is_on_the_ledger(desk, registered):
        said = f"The file is the model 0x{registered.hex()} of the run already."
        desk.show(Answer({"dry_run": desk.wishes.dry_run, "transactions": [], **named}, [said]))
        return
    if found.coordinator != desk.account.address:
        raise InputError(
            f"The run's coordinator is {desk.name(found.coordinator)}, and nobody else registers a root.",
            fix="Act as that account with --as.",
        )
    if found.state is not RunState.OPEN:
        raise InputError(
            f"The run is {found.state.name}, and its rounds train from nothing new.",
            fix="Create another run.",
        )
    words = (
        f"register the file {model.name} (SHA-256 {artifact.hex()}) as a root of the run 0x{found.id.hex()}"
    )
    step = Step(
        words,
        f"{found.id.hex()}/root/{artifact.hex()}",
        lambda w, i: w.register_root(found.id, artifact, EMPTY_WORD, intent=i),
    )
    desk.act([step], extra=named)


def _is_on_the_ledger(desk: Desk, model: bytes) -> bool:
    try:
        desk.reader.model(model)
    except RecordMissing:
        return False
    return True
