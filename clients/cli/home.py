"""How the commands of ``suture-node`` find ledger and account: in the node's folder."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from clients.cli.arguments import Folder
from clients.node.config import FILE, Config, read_config
from clients.node.house import CHAIN
from clients.node.key_files import PASSPHRASE_VARIABLE, passphrase_file, read_passphrase
from clients.node.ledger_access import at_hand
from clients.node.logbook import Logbook
from fl_core.errors import InputError
from fl_core.secret import Secret
from ledger.address import EMBEDDED, LedgerAddress
from ledger.desk.desk import Account, Desk, Wishes, sit_down
from ledger.desk.options import DryRun, Yes
from ledger.views.binding import AsJson
from ledger.views.window import Window, look


class HomeDesk(Desk):
    """A holder's desk; what is sent is in the node's logbook first, whether or not the node runs meanwhile.

    Attributes:
        folder: The node's folder.
        config: What its ``node.toml`` says.
    """

    folder: Path
    config: Config

    @property
    def passphrase(self) -> Secret:
        """What opens the node's keystores."""
        return read_passphrase(self.folder)

    @contextmanager
    def noting(self) -> Iterator[Callable[[bytes, bytes], None]]:
        """Open the node's logbook, which is told."""
        logbook = Logbook(self.folder, self.account.address, clock=lambda: int(time.time()))
        with closing(logbook):
            yield logbook.note_transaction


class HomeWindow(Window):
    """A holder's window; attributes as for :class:`HomeDesk`."""

    folder: Path
    config: Config
    me: bytes


def home_account(folder: Path) -> Account:
    """Return the account of a node's folder; opens no key."""
    stored = passphrase_file(folder)
    source = (
        f"passphrase-env={PASSPHRASE_VARIABLE}" if stored is None else f"passphrase-file={quote(str(stored))}"
    )
    keystore = quote(str(folder / "keys" / "account.json"))
    return Account(f"file:{keystore}?{source}", folder / "outbox.sqlite")


def followed(folder: Path) -> tuple[Config, LedgerAddress]:
    """Return a node's configuration and the ledger that it follows.

    Raises:
        InputError: It is no node's folder, or it follows none yet.
    """
    config = read_config(folder)
    if config.ledger is None:
        raise InputError(
            f"{folder / FILE} names no ledger.",
            fix=f"Get the consortium's ledger.toml: suture-node join {shlex.quote(str(folder))} ledger.toml",
        )
    path = config.ledger.path
    if path is not None and not path.is_absolute():
        return config, replace(config.ledger, chain=f"{EMBEDDED}{path.resolve()}")
    return config, config.ledger


@contextmanager
def reading(folder: Folder, as_json: AsJson = False) -> Iterator[HomeWindow]:
    """Open a node's ledger to look at it."""
    config, address = followed(folder)
    with look(at_hand(address, folder / CHAIN), HomeWindow, as_json=as_json) as window:
        window.folder, window.config, window.me = folder, config, home_account(folder).address
        yield window


@contextmanager
def acting(
    folder: Folder, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False
) -> Iterator[HomeDesk]:
    """Open a node's ledger to act on it as the holder."""
    config, address = followed(folder)
    wishes = Wishes(dry_run=dry_run, yes=yes, as_json=as_json)
    with sit_down(address, home_account(folder), wishes, HomeDesk) as desk:
        desk.folder, desk.config = folder, config
        yield desk
