"""All files of a network on disk: a folder for each host to take away, and what everybody may read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fl_core.errors import InputError
from ledger.files import write_atomically
from ledger.network import besu
from ledger.network.genesis import encode_genesis, genesis_document, genesis_hash
from ledger.network.hosts import Host

NETWORK = "network.json"
_PRIVATE, _PUBLIC, _FOLDER = 0o600, 0o644, 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """A network that is not on disk yet.

    Attributes:
        folder: Where it will be; does not exist, or is empty.
        hosts: Its validators.
        chain_id: Its id.
        period_s: Seconds between two blocks.
        accounts: Who may send transactions; everybody when empty.
        image: Besu's container image.
    """

    folder: Path
    hosts: tuple[Host, ...]
    chain_id: int
    period_s: int
    accounts: tuple[bytes, ...] = ()
    image: str = besu.IMAGE

    @property
    def genesis(self) -> dict[str, object]:
        """The genesis file."""
        validators = [host.validator for host in self.hosts]
        return genesis_document(validators, chain_id=self.chain_id, period_s=self.period_s)

    def description(self) -> dict[str, object]:
        """Return what everybody may know, for ``network.json``."""
        return {
            "format": "suture-network-v1",
            "chain_id": self.chain_id,
            "genesis_hash": genesis_hash(self.genesis).hex(),
            "validators": [
                {"folder": self.folder_of(host).name, "enode": host.enode, "address": host.validator.hex()}
                for host in self.hosts
            ],
            "accounts": [account.hex() for account in self.accounts],
        }

    def folder_of(self, host: Host) -> Path:
        """Return the folder of one host."""
        number = self.hosts.index(host) + 1
        return self.folder / f"{number}-{re.sub(r'[^0-9a-z]+', '-', host.address)}-{host.port}"

    def files(self) -> dict[Path, tuple[bytes, int]]:
        """Return every file with its content and permissions."""
        genesis = encode_genesis(self.genesis)
        description = json.dumps(self.description(), indent=1).encode() + b"\n"
        files = {
            self.folder / besu.GENESIS: (genesis, _PUBLIC),
            self.folder / NETWORK: (description, _PUBLIC),
        }
        for host in self.hosts:
            folder = self.folder_of(host)
            public = {
                besu.GENESIS: genesis,
                besu.CONFIG: besu.config(host, accounts=bool(self.accounts)),
                besu.PEERS: besu.peers(host, self.hosts),
                besu.PERMISSIONS: besu.permissions(self.hosts, self.accounts),
                besu.COMPOSE: besu.compose(host, self.image),
            }
            files |= {folder / name: (content, _PUBLIC) for name, content in public.items()}
            if host.key is not None:
                files[folder / besu.KEY] = (host.key.reveal().hex().encode(), _PRIVATE)
        return files


def check_free(folder: Path) -> None:
    """Refuse a folder that holds something: keys of a network are never written over.

    Raises:
        InputError: It does, or is no folder.
    """
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise InputError(
            f"{folder} cannot be read ({error.strerror}).", fix="Name another folder."
        ) from error
    if taken:
        raise InputError(
            f"{folder} exists and is not empty.", fix="Name a new folder; nothing is written over."
        )


def write_network(plan: NetworkPlan) -> None:
    """Write a network; ``network.json`` comes last, so a folder without it was interrupted.

    Raises:
        InputError: There is something in the folder already.
        OSError: The disk refuses.
    """
    check_free(plan.folder)
    plan.folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    for host in plan.hosts:
        folder = plan.folder_of(host)
        folder.mkdir(mode=_FOLDER)
        (folder / "data").mkdir(mode=_FOLDER)
    files = plan.files()
    last = plan.folder / NETWORK
    for path in (*(path for path in files if path != last), last):
        content, mode = files[path]
        write_atomically(path, content, mode)


def write_key(path: Path, key_hex: bytes) -> None:
    """Write a node key that only its owner can read.

    Raises:
        InputError: There is something already.
    """
    if path.exists():
        raise InputError(f"{path} exists.", fix="Name a new file; a key is never written over.")
    write_atomically(path, key_hex, _PRIVATE)


def folders_without_key(plan: NetworkPlan) -> Sequence[Path]:
    """Return the folders into which a member has to put its own key."""
    return [plan.folder_of(host) for host in plan.hosts if host.key is None]
