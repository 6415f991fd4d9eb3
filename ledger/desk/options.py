"""Options of every command that acts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ACCOUNT_VARIABLE = "SUTURE_ACCOUNT"

AccountUri = Annotated[
    str,
    typer.Option(
        "--as",
        metavar="ACCOUNT",
        envvar=ACCOUNT_VARIABLE,
        help="Keystore of the account that acts: a file, or file:FILE?passphrase-file=FILE, or"
        " file:FILE?passphrase-env=VARIABLE, without either you are asked for the passphrase;"
        " or program:FILE for a key that another program holds.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Simulate, show what would be sent, and send nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before sending.")]
DisputedRun = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="The run's id or the beginning of it; not needed if there is only one.",
        show_default=False,
    ),
]
DisputedRound = Annotated[
    int, typer.Option("--round", min=0, max=2**32 - 1, help="The round; 0 for the run as a whole.")
]
Statement = Annotated[
    Path,
    typer.Option(
        help="Document with what is wrong; its SHA-256 goes on the ledger, nothing else.", show_default=False
    ),
]
