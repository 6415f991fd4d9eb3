"""``suture-node keys``: show, register, rotate, history."""

from __future__ import annotations

import shlex

import typer

from clients.cli.arguments import Folder
from clients.cli.home import HomeDesk, HomeWindow, acting, reading
from clients.node.house import open_house
from clients.node.key_files import finish_rotation, has_next, key_sets, next_set
from fl_core.errors import InputError
from fl_core.protocol.setup import transport_key_digest
from fl_core.randomness import SystemRandomSource
from fl_core.secagg.boxes import TransportPrivateKey
from ledger import signer
from ledger.desk.keys import registration
from ledger.fingerprint import fingerprint
from ledger.signer import KeystoreSigner, read_keystore
from ledger.views.binding import AsJson, at
from ledger.views.members import key_history, key_lines
from ledger.views.window import Answer, facts
from ledger.views.window import show as show_answer

app = typer.Typer(no_args_is_help=True)


@app.command(epilog="Example: suture-node keys show node")
@at(reading)
def show(window: HomeWindow) -> None:
    """Show the account's fingerprint, its registered keys, and whether a rotation is not over."""
    registered = key_history(window, window.me)
    pending, rotated = has_next(window.folder), key_sets(window.folder)
    data = {
        "account": f"0x{window.me.hex()}",
        "fingerprint": fingerprint(window.me),
        "registered": registered[-1] if registered else None,
        "key_set_in_folder": rotated[-1].number if rotated else 1,
        "rotation_pending": pending,
    }
    current = registered[-1] if registered else None
    lines = facts({
        "account": data["account"],
        "account fingerprint": data["fingerprint"],
        "registered key set": f"none: suture-node keys register {shlex.quote(str(window.folder))}" if current is None else current["number"],
        "key fingerprint": "-" if current is None else current["fingerprint"],
    })  # fmt: skip
    if pending:
        lines.append(
            f"A rotation was begun and is not over: suture-node keys rotate {shlex.quote(str(window.folder))}"
        )
    window.show(Answer(data, lines))


@app.command(epilog="Example: suture-node keys register node --dry-run")
@at(acting)
def register(desk: HomeDesk) -> None:
    """Register the first key set: the account's key signs, and proves that it is yours; the transport key is named by its digest."""
    registered = desk.reader.keys(desk.account.address)
    house = open_house(desk.folder)
    if registered.signer == house.account.address:
        _nothing(desk, "These keys are registered already.")
        return
    if registered.epoch:
        raise InputError(
            f"Key set {registered.epoch} is registered for this account.",
            fix=f"Replace it: suture-node keys rotate {shlex.quote(str(desk.folder))}",
        )
    desk.act([registration(desk, 1, house.account, transport_key_digest(house.transport.public))])


@app.command(epilog="Example: suture-node keys rotate node")
@at(acting)
def rotate(desk: HomeDesk) -> None:
    """Replace signing and transport key by new ones, for instance because they may have leaked; the account stays.

    A round under way is finished with the old keys. Restart the node
    afterwards. After a crash run the command again: it goes on with the
    keys that it made.
    """
    registered = desk.reader.keys(desk.account.address)
    if registered.epoch == 0:
        raise InputError(
            "No keys are registered yet.",
            fix=f"Register them: suture-node keys register {shlex.quote(str(desk.folder))}",
        )
    if desk.wishes.dry_run and not has_next(desk.folder):
        text = f"Dry run: two new keys would be made and registered as key set {registered.epoch + 1}; nothing was made or sent."
        desk.show(Answer({"dry_run": True, "key_set": registered.epoch + 1, "transactions": []}, [text]))
        return
    if has_next(desk.folder) and not (desk.folder / "keys" / "transport-next.json").exists():
        _finish(desk, registered.epoch)  # the crash came between the two names
        return
    files = next_set(
        desk.folder, desk.passphrase, random=SystemRandomSource(), scrypt_cost=signer.SCRYPT_COST
    )
    new = KeystoreSigner(files.signer, desk.passphrase)
    if registered.signer == new.address:  # the crash came after the registration
        _finish(desk, registered.epoch)
        return
    transport = TransportPrivateKey.from_seed(read_keystore(files.transport, desk.passphrase))
    desk.act([registration(desk, registered.epoch + 1, new, transport_key_digest(transport.public))])
    if not desk.wishes.dry_run:
        finish_rotation(desk.folder, registered.epoch + 1)
        desk.note("Restart suture-node serve: until then this node cannot sign.")


@app.command(epilog="Example: suture-node keys history node --json")
@at(reading)
def history(window: HomeWindow) -> None:
    """Show every key set that this account ever registered."""
    keys = key_history(window, window.me)
    window.show(
        Answer({"account": f"0x{window.me.hex()}", "keys": keys}, [window.name(window.me), *key_lines(keys)])
    )


@app.command(epilog="Example: suture-node keys supernode node")
def supernode(folder: Folder, as_json: AsJson = False) -> None:
    """Show the public key by which the SuperLink knows this node, to send to the coordinator; make it if there is none.

    It authenticates the connection only: what counts is signed by the
    account's keys. The coordinator puts the file into its folder of nodes.
    """
    from clients.gateway.superlink import node_key
    from clients.node.network import key_path, load_network

    path = key_path(folder, load_network(folder))
    node_key(path)
    public = path.with_suffix(".pub")
    text = public.read_text().strip()
    lines = [*facts({"file": str(public), "fingerprint": fingerprint(text.encode())}), text]
    show_answer(
        Answer({"file": str(public), "fingerprint": fingerprint(text.encode()), "key": text}, lines),
        as_json=as_json,
    )


def _finish(desk: HomeDesk, number: int) -> None:
    if desk.wishes.dry_run:
        _nothing(desk, "Dry run: the keys are registered; only their files would be renamed.")
        return
    finish_rotation(desk.folder, number)
    _nothing(
        desk, f"Key set {number} is registered; the interrupted rotation is over. Restart suture-node serve."
    )


def _nothing(desk: HomeDesk, text: str) -> None:
    desk.show(Answer({"dry_run": desk.wishes.dry_run, "transactions": []}, [text]))
