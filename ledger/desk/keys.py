"""Keys: new accounts, and the key sets that members register with proof of possession."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fl_core.digests import Label, digest
from fl_core.errors import InputError
from fl_core.secret import Secret
from ledger.desk.desk import Account, Desk, Step, ask_passphrase
from ledger.fingerprint import fingerprint, keys_fingerprint
from ledger.signer import SCRYPT_COST, Signer, create_keystore, keystore_of, passphrase_of
from ledger.typed_data import KeyPossession
from ledger.views.members import key_history, key_lines
from ledger.views.window import Answer, Window, facts

NO_BOXES = digest(Label.TRANSPORT_KEY, b"")
"""What a member registers that nobody seals anything to: coordinator, researcher, auditor."""


def make(uri: str, *, scrypt_cost: int = SCRYPT_COST) -> Answer:
    """Make a key in a new keystore file; see :func:`ledger.signer.create_keystore`.

    Args:
        uri: Where, and where its passphrase is: as for ``--as``. Without a place for the passphrase, asks for it twice.
        scrypt_cost: N of scrypt.

    Raises:
        InputError: The file exists, its folder does not, or there is no passphrase.
    """
    path, passphrase = passphrase_of(uri)
    if path.exists():
        raise InputError(f"{path} exists already.", fix="Choose a new file; keys are not overwritten.")
    if not path.parent.is_dir():
        raise InputError(f"There is no folder {path.parent}.", fix="Make it first.")
    address = create_keystore(path, passphrase or _new_passphrase(path), scrypt_cost=scrypt_cost)
    return described(path, address)


def described(path: Path, address: bytes) -> Answer:
    """Return what is public about a keystore."""
    data: dict[str, Any] = {
        "keystore": str(path),
        "account": f"0x{address.hex()}",
        "fingerprint": fingerprint(address),
    }
    lines = facts({"keystore": path, "account": data["account"], "fingerprint": data["fingerprint"]})
    return Answer(
        data, [*lines, "Read the fingerprint to the other members over the phone before they vote."]
    )


def _new_passphrase(path: Path) -> Secret:
    first = ask_passphrase(f"New passphrase of {path}")
    if first != ask_passphrase("The same again"):
        raise InputError("The passphrases differ; nothing was made.", fix="Try again.")
    return first


def register(desk: Desk) -> None:
    """Register this account's own key as the one that signs for it; for members that are no holders.

    A coordinator signs receipts with it. A holder's keys are registered by suture-node.
    """
    address = desk.account.address
    if desk.reader.keys(address).signer == address:
        desk.show(
            Answer({"dry_run": desk.wishes.dry_run, "transactions": []}, ["This key is registered already."])
        )
        return
    epoch = desk.reader.member(address).epoch + 1
    desk.act([registration(desk, epoch, desk.account.signer, NO_BOXES)])


def registration(desk: Desk, epoch: int, signer: Signer, encryption: bytes) -> Step:
    """Return the step that registers a key set of the desk's account, signed by the new key."""
    statement = KeyPossession(member=desk.account.address, epoch=epoch, encryption=encryption)
    possession = signer.sign_digest(statement.digest(desk.reader.domain()))
    return Step(
        f"register key set {epoch}: signing key 0x{signer.address.hex()}, fingerprint {keys_fingerprint(signer.address, encryption)}",
        f"keys/{epoch}",
        lambda w, i: w.set_keys(signer.address, encryption, possession, intent=i),
    )


def history(
    window: Window,
    account: Annotated[
        str, typer.Argument(help="An account, or a name of the public folder.", show_default=False)
    ],
) -> None:
    """Show every key set that an account ever registered."""
    who = window.account_of(account)
    keys = key_history(window, who)
    window.show(Answer({"account": f"0x{who.hex()}", "keys": keys}, [window.name(who), *key_lines(keys)]))


def known(uri: str) -> Answer:
    """Return account and fingerprint of a keystore; its passphrase is not needed where the file names its address."""
    account = Account(uri)
    return described(keystore_of(uri), account.address)
