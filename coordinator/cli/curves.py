"""``suture run curves``: training curves of a run that was kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.views.binding import AsJson

EPILOG = "Example: suture run curves runs/one --out curves"


def curves(
    folder: Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for TensorBoard; is made.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Write a run's training curves for TensorBoard, from its events; again appends what is new.

    Makes the same file as the run itself with curves on. Needs the extra
    'curves', reads the run's folder only, and can be run at any time.
    """
    from coordinator.curves.file import Curves, check_out
    from ledger.views.window import Answer, show

    check_out(out)
    made = Curves(folder, out)
    made.update()
    data = {"file": str(made.path.resolve()), "rounds": made.rounds, "points": made.points}
    lines = [
        f"{made.points} points of {made.rounds} rounds in {made.path}",
        f"Look at them: tensorboard --logdir {out}",
    ]
    show(Answer(data, lines), as_json=as_json)
