"""``suture-node init`` and ``suture-node join``: from an empty folder to a node that knows its ledger."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clients.cli.arguments import Folder
from ledger.views.binding import AsJson

if TYPE_CHECKING:
    from clients.node.house import House
    from fl_core.randomness import RandomSource
    from ledger.address import LedgerAddress
    from ledger.views.window import Answer

DEFAULT_TASKS = ("heart-disease",)
MAX_DATA = 1 << 30
"""Bytes of a data set that is copied into the folder; larger ones stay where they are: suture-node data."""
EPILOG = "Example: suture-node init node --name 'Alder Hospital' --data records.csv --ledger ledger.toml"
JOIN_EPILOG = "Example: suture-node join node ledger.toml"


def init(
    folder: Folder,
    name: Annotated[str, typer.Option(help="Your name, as others will read it.")],
    data: Annotated[
        Path, typer.Option(help="CSV file with your records, one a line, the first line names the columns.")
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="A training task that may use the data, once for each. heart-disease by default.",
            show_default=False,
        ),
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The consortium's ledger.toml, if you have it.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a node's folder: keys, the salt of its data set, and a node.toml with a policy to edit.

    Prints fingerprints to read to the other members over the phone before
    they vote you in. The passphrase of the keys is random and kept in the
    folder, readable by you only. If SUTURE_NODE_PASSPHRASE_FILE names a file
    with it, or SUTURE_NODE_PASSPHRASE holds it, that is the passphrase, and
    the folder has none.
    """
    from fl_core.randomness import SystemRandomSource
    from ledger import signer
    from ledger.address import find_ledger
    from ledger.views.window import Answer, show

    records = _records(data)
    address = None if ledger is None else find_ledger(ledger)  # before anything is made
    house = _made(
        folder, name, records, tuple(task or DEFAULT_TASKS), address, SystemRandomSource(), signer.SCRYPT_COST
    )
    answer = _fingerprints(house)
    warnings = _doubts(house, data)
    copied = f"The records were copied. {data} stays where it is, also when the data set is erased: remove it if nobody needs it."
    facts = {**answer.data, "source": str(data), "warnings": warnings}
    show(Answer(facts, [*answer.lines, copied, *warnings]), as_json=as_json)


def _records(data: Path) -> bytes:
    """Return the records of a CSV file.

    Raises:
        InputError: It cannot be read or has none.
    """
    from fl_core.errors import InputError
    from ledger.files import read_plain

    try:
        records = read_plain(data, MAX_DATA)
    except OSError as error:
        raise InputError(f"{data} cannot be read ({error.strerror}).", fix="Name your CSV file.") from error
    if len(records.splitlines()) < 2:
        raise InputError(
            f"{data} holds no record.", fix="Give a line with the columns and at least one record."
        )
    return records


def _doubts(house: House, data: Path) -> list[str]:
    """Return a warning for each task that cannot train on the records of ``data``; they can be changed until keys are registered."""
    from clients.node.config import FILE
    from clients.training.tasks import check_data, task_names
    from fl_core.errors import InputError

    found = []
    for task in house.policy.tasks:
        if task not in task_names():
            found.append(
                f"Warning: the task {task!r} is not installed; there are: {', '.join(sorted(task_names()))}. "
                f"Correct `tasks` in [policy] of {house.folder / FILE}."
            )
            continue
        try:
            check_data(task, house.data[house.policy.data_set(task)].path, house.name)
        except InputError as error:
            found.append(
                f"Warning: the task {task!r} cannot train on these records: {error.message} {error.fix} "
                f"Mend {data}, then add it as a data set: {_adding(house.folder, data, task)}"
            )
    return found


def _adding(folder: Path, data: Path, task: str) -> str:
    """Return the command that adds the file once it is mended; what it prints says how to use it."""
    words = ("suture-node", "data", "add", str(folder), "mended", "--records", str(data), "--task", task)
    return shlex.join(words)


def _made(
    folder: Path,
    name: str,
    records: bytes,
    tasks: tuple[str, ...],
    ledger: LedgerAddress | None,
    random: RandomSource,
    scrypt_cost: int,
) -> House:
    """Make a node's folder and open it."""
    from clients.node.house import open_house
    from clients.node.key_files import given_passphrase
    from clients.node.new_house import create_house
    from clients.node.policy import Policy
    from clients.node.template import node_toml

    policy = Policy(tasks=tasks)
    create_house(
        folder,
        name,
        records,
        policy,
        random=random,
        scrypt_cost=scrypt_cost,
        passphrase=given_passphrase(),
        config=node_toml(name, policy, ledger),
    )
    return open_house(folder)


def join(
    folder: Folder,
    ledger: Annotated[Path, typer.Argument(help="The consortium's ledger.toml.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Have a node follow a consortium's ledger: check chain, contract and code, and pin them in node.toml."""
    from clients.node.template import follow_ledger
    from ledger.address import code_hash, find_ledger
    from ledger.desk.founding import describe
    from ledger.views.window import Window, look

    address = find_ledger(ledger)
    with look(address, Window, as_json=as_json) as window:  # checks everything that is pinned
        answer = describe(address, code_hash(window.connection, window.reader.address))
        follow_ledger(folder, address)
        window.show(answer)


def _fingerprints(house: House) -> Answer:
    from ledger.fingerprint import fingerprint, fingerprint_of_keys
    from ledger.views.window import Answer, facts

    account, transport = house.account.address, house.transport.public
    data = {
        "folder": str(house.folder),
        "name": house.name,
        "account": f"0x{account.hex()}",
        "fingerprint": fingerprint(account),
        "keys": fingerprint_of_keys(account, transport),
        "records": house.manifest.records,
        "commitment": house.manifest.commitment.hex(),
    }
    lines = facts({"account": data["account"], "account fingerprint": data["fingerprint"], "key fingerprint": data["keys"],
                   "records": data["records"], "data set commitment": data["commitment"]})  # fmt: skip
    return Answer(
        data,
        [
            *lines,
            f"Edit the rules in {house.folder / 'node.toml'}.",
            "Send your account to the members and read both fingerprints to them over the phone; they vote you in.",
        ],
    )
