"""Options of every command that acts."""

from __future__ import annotations

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
        " file:FILE?passphrase-env=VARIABLE. Without either you are asked for the passphrase.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Simulate, show what would be sent, and send nothing.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before sending.")]
