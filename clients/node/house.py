"""A node's folder: what is in it, making one, and opening it as a :class:`~clients.node.service.Node`.

::

    FOLDER/                readable by its owner only
      node.toml            name, ledger, data, policy
      keys/account.json    the account's key (keystore v3)       keys/transport.json   the transport seed (keystore v3)
      keys/signer-2.json   after a rotation: signing key and transport seed of the second key set, and so on
      keys/passphrase      opens all of them; where it is missing or empty, SUTURE_NODE_PASSPHRASE_FILE or SUTURE_NODE_PASSPHRASE does
      keys/data-salt       hides the data set's commitment; deleting it erases the link to the records
      data/records.csv     the records
      terms/               accepted terms documents, by digest
      register.sqlite      the once-only register; never restored from a backup
      chain/               the node's own copy of an embedded chain and what it signed of it, see :mod:`ledger.following`
      logbook.jsonl        what left the house, see :mod:`clients.node.logbook`
      prekeys/             private prekeys of the current epochs; erased, and never backed up
      ckks/                keys and models of runs in the CKKS mode, see :mod:`clients.node.ckks_files`
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.node.accepted import AcceptedTerms
from clients.node.ckks_files import CkksFiles
from clients.node.data_sets import DEFAULT, check, stored
from clients.node.key_files import RENEWAL, SETS_KEPT, key_sets, read_passphrase
from clients.node.ledger_access import (
    LedgerAccess,
    at_hand,
    board_at_hand,
    follow_embedded,
    follow_over_relay,
    open_external,
)
from clients.node.logbook import Logbook, account_of
from clients.node.manifest import NO_DATA, Manifest
from clients.node.policy import Policy
from clients.node.policy_file import read_policy
from clients.node.prekeys import Prekeys
from clients.node.register import Register
from clients.node.register_view import expect_not_restored
from clients.node.relay_client import RelayClient
from clients.node.service import DataSet, Node
from fl_core.errors import InputError
from fl_core.randomness import RandomSource
from fl_core.secagg.boxes import TransportPrivateKey
from ledger.address import LedgerAddress
from ledger.chain.embedded.executed import ExecutedBlocks
from ledger.signer import KeystoreSigner, Signer, keystore_address, read_keystore
from ledger.standing import Standing, read_standing

MAX_CONFIG = 1 << 20  # bytes
PRIVATE = 0o600
CHAIN = "chain"
"""Folder of the node's copy of an embedded chain."""


@dataclass(frozen=True, slots=True)
class House:
    """An opened node folder: the holder's keys and facts, before a ledger is known or a round begins.

    Attributes:
        folder: The folder.
        name: The holder's name.
        account: Signs for the holder.
        transport: Opens boxes.
        manifest: The data set as others see it.
        policy: The holder's rules.
        ledger: Which ledger it follows; None before it joined one.
        data: The data sets that its policy names.
        signers: Keys that sign for the account in rounds, oldest first: the account's own, and those of the newest rotations.
    """

    folder: Path
    name: str
    account: Signer
    transport: TransportPrivateKey
    manifest: Manifest
    policy: Policy
    ledger: LedgerAddress | None
    data: Mapping[str, DataSet]
    signers: tuple[Signer, ...] = ()

    @property
    def newest_signer(self) -> Signer:
        """The key that signs for the account outside rounds."""
        return self.signers[-1] if self.signers else self.account


def open_house(folder: Path) -> House:
    """Open a node's folder.

    Raises:
        InputError: It is no node folder, a file is missing or malformed, or a key does not open.
    """
    config = read_node_toml(folder / "node.toml")
    keys = folder / "keys"
    passphrase = read_passphrase(folder)
    account, rotated = KeystoreSigner(keys / "account.json", passphrase), key_sets(folder)
    transport = rotated[-1].transport if rotated else keys / "transport.json"
    policy = read_policy_section(config, folder)
    sets = {one.name: one for one in stored(folder) if one.name in policy.data_sets}
    data = {name: check(one) for name, one in sets.items()}
    manifest = data.get(DEFAULT) or next(iter(data.values()), NO_DATA)
    ledger = config.get("ledger")
    try:
        return House(
            folder=folder,
            name=str(config["name"]),
            account=account,
            transport=TransportPrivateKey.from_seed(read_keystore(transport, passphrase)),
            manifest=manifest,
            policy=policy,
            ledger=None if ledger is None else LedgerAddress(**ledger),
            data={
                # its path goes to the glue, which has a working folder of its own
                name: DataSet(
                    path=one.path.absolute(), commitment=data[name].commitment, records=data[name].records
                )
                for name, one in sets.items()
            },
            signers=(account, *(KeystoreSigner(one.signer, passphrase) for one in rotated[-SETS_KEPT:])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{folder / 'node.toml'} is not a valid node configuration ({error}).") from error


def read_policy_section(config: dict[str, Any], folder: Path) -> Policy:
    """Read the section ``[policy]`` of a parsed ``node.toml``.

    Raises:
        InputError: It is missing, or a rule is unknown or malformed.
    """
    path = folder / "node.toml"
    section = config.get("policy")
    if not isinstance(section, dict):
        raise InputError(f"{path} has no section [policy].", fix="See docs/reference/policy.md.")
    return read_policy(section, text=_read(path, MAX_CONFIG).decode(), file=str(path))


def load_policy(folder: Path) -> Policy:
    """Read the policy in a node's folder; opens no key.

    Raises:
        InputError: It is no node's folder, or the policy is malformed.
    """
    return read_policy_section(read_node_toml(folder / "node.toml"), folder)


def open_account(folder: Path) -> Signer:
    """Open the account of the node in a folder, to sign something for its holder.

    Raises:
        InputError: It is no node's folder, or the key does not open.
    """
    passphrase = read_passphrase(folder)
    return KeystoreSigner(folder / "keys" / "account.json", passphrase)


def open_transport(folder: Path) -> TransportPrivateKey:
    """Open the transport key of the node in a folder.

    Raises:
        InputError: It is no node's folder, or the key does not open.
    """
    rotated = key_sets(folder)
    path = rotated[-1].transport if rotated else folder / "keys" / "transport.json"
    return TransportPrivateKey.from_seed(read_keystore(path, read_passphrase(folder)))


def registered_signers(folder: Path) -> frozenset[bytes]:
    """Return the addresses of the keys in a folder with which its holder may sign; opens none.

    Raises:
        InputError: There is no keystore, or it names no account.
    """
    rotated = (keystore_address(one.signer) for one in key_sets(folder))
    return frozenset({account_of(folder), *(address for address in rotated if address is not None)})


def load_name(folder: Path) -> str:
    """Read the holder's name in a node's folder; opens no key.

    Raises:
        InputError: It is no node's folder, or has no name.
    """
    name = read_node_toml(folder / "node.toml").get("name")
    if not isinstance(name, str):
        raise InputError(f"{folder / 'node.toml'} has no name.", fix='Add a line: name = "..."')
    return name


def load_ledger(folder: Path) -> LedgerAddress | None:
    """Read which ledger the node in a folder follows, as ``node.toml`` says; opens no key.

    Raises:
        InputError: It is no node's folder, or the section is malformed.
    """
    section = read_node_toml(folder / "node.toml").get("ledger")
    try:
        return None if section is None else LedgerAddress(**section)
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder / 'node.toml'}: [ledger] is not valid ({error}).") from error


def ledger_at_hand(folder: Path) -> LedgerAddress | None:
    """Read where the ledger of the node in a folder can be read on this machine; opens no key.

    Raises:
        InputError: It is no node's folder, or the section is malformed.
    """
    ledger = load_ledger(folder)
    return None if ledger is None else at_hand(ledger, folder / CHAIN)


def open_node(
    house: House,
    *,
    clock: Callable[[], int],
    random: RandomSource,
    relay: RelayClient | None = None,
    executed: ExecutedBlocks | None = None,
) -> Node:
    """Open the node that lives in ``house``; it follows an embedded chain in the background until it is closed.

    Args:
        house: Its opened folder.
        clock: Unix time in seconds.
        random: Fresh randomness.
        relay: Where blocks of an embedded chain and checkpoints come from; by default the files that ``node.toml`` names.
        executed: Where other nodes in this process leave what a block makes; by default this one is alone.

    Raises:
        InputError: The ledger cannot be opened.
        LedgerError: It is another chain or contract, or was refused.
        NodeStateError: The register or an accepted terms document is damaged, or the register was restored from a backup.
    """
    logbook = Logbook(house.folder, house.account.address, clock=clock)
    expect_not_restored(house.folder, house.account.address)
    access = None
    if house.ledger is not None:
        access = open_ledger(house, house.ledger, logbook, clock=clock, relay=relay, executed=executed)
    prekeys = Prekeys(house.folder / "prekeys", random=random, clock=clock)
    renewal = house.folder / RENEWAL
    if renewal.exists():
        prekeys.renew()
        renewal.unlink()
    node = Node(
        name=house.name,
        account=house.account,
        signers={signer.address: signer for signer in house.signers},
        transport=house.transport,
        prekeys=prekeys,
        reader=None if access is None else access.reader,
        register=Register(house.folder),
        logbook=logbook,
        policy=house.policy,
        terms=AcceptedTerms(house.folder),
        data=house.data,
        clock=clock,
        random=random,
        settle_ledger=_nothing if access is None else access.settle,
        close_ledger=_nothing if access is None else access.close,
        stop_ledger=_nothing if access is None else access.stop,
        ckks=CkksFiles(house.folder / "ckks"),
        behind_s=0.0 if access is None else access.behind_s,
    )
    if access is not None and access.following is not None:
        access.following.start()
    return node


def open_ledger(
    house: House,
    ledger: LedgerAddress,
    logbook: Logbook,
    *,
    clock: Callable[[], int],
    relay: RelayClient | None = None,
    executed: ExecutedBlocks | None = None,
) -> LedgerAccess:
    """Open a ledger for the node that lives in ``house``; an embedded one over the relay where there is one.

    Raises:
        InputError: It cannot be opened.
        LedgerError: It is another chain or contract, or was refused.
    """
    if ledger.path is None:
        return open_external(ledger)
    signer, me = house.newest_signer, house.account.address
    wanted, note, copy = house.policy.checkpoints, logbook.note_checkpoint, house.folder / CHAIN
    if relay is not None:
        return follow_over_relay(ledger, copy, signer, relay, me=me, clock=clock, wanted=wanted, note=note)
    return follow_embedded(
        ledger, copy, signer, me=me, clock=clock, wanted=wanted, note=note, executed=executed
    )


def read_copy(house: House) -> Standing | None:
    """Read where the node's copy of an embedded chain stands; None where it has none. The node may run meanwhile.

    Raises:
        LedgerError: It cannot be read.
    """
    ledger = house.ledger
    if ledger is None or ledger.path is None:
        return None
    return read_standing(
        house.folder / CHAIN,
        chain_id=ledger.chain_id,
        contract=bytes.fromhex(ledger.contract),
        board=board_at_hand(ledger, house.folder / CHAIN),
        wanted=house.policy.checkpoints,
    )


def _nothing() -> None:
    """There is nothing to let go of."""


def read_node_toml(path: Path) -> dict[str, Any]:
    """Return a ``node.toml`` as parsed.

    Raises:
        InputError: It cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(_read(path, MAX_CONFIG).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML ({error}).", fix="Mend that line.") from error


def _read(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise InputError(f"{path} is larger than {limit} bytes.")
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}).",
            fix="Name the folder that `suture-node init` made, as the user that it belongs to.",
        ) from error
