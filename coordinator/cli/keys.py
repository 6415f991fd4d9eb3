"""``suture keys``: accounts in keystore files, and the signing key of a member that is no holder."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.office import acting, reading
from ledger.desk import keys
from ledger.signer import SCRYPT_COST
from ledger.views.binding import AsJson, at
from ledger.views.window import show as show_answer

app = typer.Typer(no_args_is_help=True)

Keystore = Annotated[
    str,
    typer.Argument(
        metavar="KEYSTORE",
        help="The keystore file, or file:FILE?passphrase-file=FILE, or file:FILE?passphrase-env=VARIABLE.",
        show_default=False,
    ),
]


@app.command(
    epilog="Examples: suture keys new keys/me.json | suture keys new 'file:keys/me.json?passphrase-file=secrets/me'"
)
def new(keystore: Keystore, as_json: AsJson = False) -> None:
    """Make an account in a new keystore file that only its owner can read; asks for a passphrase unless told where it is."""
    show_answer(keys.make(keystore, scrypt_cost=SCRYPT_COST), as_json=as_json)


@app.command(epilog="Example: suture keys show keys/me.json")
def show(keystore: Keystore, as_json: AsJson = False) -> None:
    """Show account and fingerprint of a keystore, without its passphrase."""
    show_answer(keys.known(keystore), as_json=as_json)


app.command(epilog="Example: suture keys register --as keys/coordinator.json")(at(acting)(keys.register))
app.command(epilog="Example: suture keys history 0x4fe3...")(at(reading)(keys.history))
