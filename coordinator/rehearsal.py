"""Prepares the folder that ``deploy/compose/four-hospitals.yaml`` starts from: everything a network needs before its first process.

::

    FOLDER/certificates/      the consortium's authority and its servers' certificate
    FOLDER/coordinator/       becomes /coordinator: run/ (ledger, accounts), superlink/nodes/ (enrolled keys), app/, run-config.toml
    FOLDER/nodes/1 ... /4     each becomes /node in three containers
    FOLDER/secrets/1 ... /4   what opens each node's keys; in its folder there is an empty file in its place
    FOLDER/.env               variables of the compose file

The consortium is the demo's: real accounts, keys, votes and consents on an embedded chain, cheap passphrases, the bundled records. It is for
rehearsals; members of a real one make their own keys.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from coordinator import app
from coordinator.certificates import make_certificates
from coordinator.demo.consortium import SCRYPT_COST, found_consortium, write_terms
from coordinator.demo.deployed_run import APP_NAME, prepare_bundle
from coordinator.demo.holders import bundled_csv, hospital_factory, hospital_files, read_csv, training_task
from coordinator.demo.options import DemoOptions, Engine, Protection
from coordinator.demo.run import TASK, now, run_config
from coordinator.engines.references import load
from coordinator.engines.settings import encode_settings
from coordinator.engines.superlink_service import NODES
from fl_core.errors import InputError
from fl_core.randomness import SystemRandomSource
from ledger.files import write_atomically

USER, GLUE_GROUP = 10001, 10002
"""User and group of the images' processes; the group of their SuperNodes."""
INSIDE = "/coordinator"
"""Where the coordinator's folder is in its containers."""
SUPERLINK, RELAY = "superlink", "relay"
"""Names of the coordinator's containers on every hospital's line."""
NETWORK = f"""
[network]
relay = "https://{RELAY}:9443"
superlink = "https://{SUPERLINK}:9092"
ca = "ca.crt"
"""
PRIVATE, PRIVATE_FOLDER = 0o600, 0o700


def prepare_rehearsal(folder: Path, *, rounds: int) -> list[str]:
    """Make the folder; return the hospitals' names.

    Args:
        folder: Must not exist.
        rounds: How many rounds can be tried, from 1.

    Raises:
        InputError: The folder exists or cannot be made.
    """
    try:
        folder.mkdir(mode=PRIVATE_FOLDER, parents=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}).", fix="Name a new folder.") from error
    folder = folder.resolve()
    made = make_certificates(
        folder / "certificates", [SUPERLINK, RELAY], now=datetime.datetime.now(datetime.UTC)
    )
    home, secrets = folder / "coordinator", folder / "secrets"
    for place in (home, secrets, home / "superlink", home / "superlink" / NODES):
        place.mkdir(mode=PRIVATE_FOLDER)
    tables = hospital_files(read_csv(bundled_csv()), bundled_csv())
    _found(folder, tables, rounds)
    authority = made.authority.read_bytes()
    for number in map(str, range(1, len(tables) + 1)):
        _equip(folder / "nodes" / number, authority, secrets / number, home / "superlink" / NODES, number)
    write_atomically(folder / ".env", _variables(folder).encode(), PRIVATE)
    if os.geteuid() == 0:
        _hand_over(folder)
    return list(tables)


def _found(folder: Path, tables: Mapping[str, bytes], rounds: int) -> None:
    """Found the consortium with a run that all hospitals accepted, and write what starts it."""
    random, factory = SystemRandomSource(), hospital_factory()
    home = folder / "coordinator"
    options = _options(home / "run", rounds)
    hospitals = [
        factory.create(
            folder / "nodes" / str(number),
            name,
            records,
            tasks=(TASK,),
            allow_plaintext=False,
            allow_ckks=False,
            clock=now,
            random=random,
            scrypt_cost=SCRYPT_COST,
        )
        for number, (name, records) in enumerate(tables.items(), start=1)
    ]
    bundle = prepare_bundle(home / "app", app.SETTINGS)
    terms, model = write_terms(options, training_task(TASK), len(hospitals), bundle.sha256.hex())
    options.folder.mkdir(mode=PRIVATE_FOLDER)
    found_consortium(options, hospitals, terms, model, clock=now, random=random)
    for hospital in hospitals:
        hospital.close()
    settings = run_config(options, len(hospitals)) | {app.FOLDER: f"{INSIDE}/run"}
    write_atomically(home / "run-config.toml", encode_settings(settings).encode(), PRIVATE)


def _options(folder: Path, rounds: int) -> DemoOptions:
    return DemoOptions(
        engine=Engine.DEPLOYMENT,
        hospitals="4",
        rounds=rounds,
        seed=42,
        folder=folder,
        data=bundled_csv(),
        table=read_csv(bundled_csv()),
        protection=Protection.LATTICE,
        drop=0,
        port=None,
    )


def _equip(node: Path, authority: bytes, secret: Path, enrolled: Path, number: str) -> None:
    """Tell a node where its partners are, take its passphrase out of its folder, and enrol the key of its SuperNode."""
    config, run = node / "node.toml", node.parents[1] / "coordinator" / "run"
    text = config.read_text().replace(str(run), f"{INSIDE}/run")  # blocks come over the relay
    write_atomically(config, (text + NETWORK).encode(), PRIVATE)
    write_atomically(node / "ca.crt", authority)
    passphrase = node / "keys" / "passphrase"
    write_atomically(secret, passphrase.read_bytes(), PRIVATE)
    write_atomically(passphrase, b"", PRIVATE)
    make_key = cast(Callable[[Path], object], load("clients.gateway.superlink:node_key"))
    make_key(node / "keys" / "supernode.pem")
    write_atomically(enrolled / f"{number}.pub", (node / "keys" / "supernode.pub").read_bytes())


def _variables(folder: Path) -> str:
    """Return the compose file's variables; the last two are asked for by what it extends, and unused."""
    values = {
        "NETWORK_FOLDER": folder,
        "COORDINATOR_FOLDER": folder / "coordinator",
        "CERTIFICATES": folder / "certificates",
        "SUPERLINK": f"https://{SUPERLINK}:9092",
        "NODE_FOLDER": folder / "nodes" / "1",
        "NODE_PASSPHRASE": folder / "secrets" / "1",
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def start_command() -> str:
    """Return the command that starts the run inside the container of the SuperLink."""
    return f"env FLWR_HOME={INSIDE}/superlink/flower flwr run {INSIDE}/app/{APP_NAME} suture --run-config {INSIDE}/run-config.toml"


def _hand_over(folder: Path) -> None:
    """Give everything to the user of the images."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
