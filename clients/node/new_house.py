"""Makes a node's folder: fresh keys, the first data set and ``node.toml``; what is in it tells :mod:`clients.node.house`.

``node.toml`` is written last, once and whole. So a folder with keys and without it is one that was not made to the end, and nobody saw its keys.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clients.node.policy import Policy
from fl_core.errors import InputError
from fl_core.randomness import SEED_SIZE, RandomSource
from fl_core.secret import Secret
from ledger.address import LedgerAddress
from ledger.files import write_atomically
from ledger.signer import create_keystore

PRIVATE = 0o600


def create_house(
    folder: Path,
    name: str,
    records: bytes,
    policy: Policy,
    *,
    random: RandomSource,
    scrypt_cost: int,
    passphrase: Secret | None = None,
    config: bytes | None = None,
) -> None:
    """Make a node's folder with fresh keys.

    Args:
        folder: Must not exist or be empty.
        name: The holder's name, as others will read it.
        records: The data set, one record a line, the first line names the columns.
        policy: The holder's rules.
        random: Fresh randomness.
        scrypt_cost: N of scrypt for the keystores.
        passphrase: Opens the keystores and is kept nowhere; by default a random one is made and kept in the folder.
        config: The whole ``node.toml``, with this name and policy; by default one without comments and ledger.

    Nothing is left of an attempt that fails or is interrupted, unless the process is killed.

    Raises:
        InputError: The folder holds something, or the name cannot be shown in a line.
        OSError: There is no room, for instance.
    """
    if not name.strip() or not name.isprintable():
        raise InputError(
            f"{name!r} is not a name for a node.", fix="Use letters, digits and spaces, in one line."
        )
    _check_empty(folder)
    known, keys = folder.exists(), folder / "keys"
    try:
        keys.mkdir(
            mode=0o700, parents=True
        )  # of two at once one fails here, and clears nothing of the other's
    except OSError:
        _remove_empty(folder, known=known)
        raise
    try:
        folder.chmod(0o700)
        _write_keys(keys, passphrase, random, scrypt_cost)
        write_atomically(folder / "data" / "records.csv", records, PRIVATE)
        write_atomically(folder / "node.toml", config or config_of(name, policy, None), PRIVATE)
    except BaseException:  # also Ctrl-C, for which the keystores leave most time
        _clear(folder, known=known)  # nobody saw these keys
        raise


def _check_empty(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        InputError: It does.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return
    if (folder / "keys").is_dir() and not (folder / "node.toml").exists():
        raise InputError(
            f"{folder} holds keys of a node, and no node.toml.",
            fix="If an init did not come to its end there, remove what is in it, or choose a new folder; "
            "if the node was in use, restore its node.toml.",
        )
    raise InputError(
        f"{folder} is not empty.",
        fix="Choose a new folder for the node. If a node is there, suture-node status shows it.",
    )


def _clear(folder: Path, *, known: bool) -> None:
    """Remove what was made of a node, the mark of a whole one first; the folder itself too, unless it was there before."""
    (folder / "node.toml").unlink(missing_ok=True)
    for made in ("keys", "data"):
        shutil.rmtree(folder / made, ignore_errors=True)
    _remove_empty(folder, known=known)


def _remove_empty(folder: Path, *, known: bool) -> None:
    if not known:
        with suppress(OSError):
            folder.rmdir()


def _write_keys(keys: Path, passphrase: Secret | None, random: RandomSource, scrypt_cost: int) -> None:
    if passphrase is None:
        passphrase = Secret(random.secret(24).reveal().hex().encode())
        write_atomically(keys / "passphrase", passphrase.reveal(), PRIVATE)
    write_atomically(keys / "data-salt", random.secret(SEED_SIZE).reveal().hex().encode(), PRIVATE)
    for key in ("account", "transport"):
        create_keystore(keys / f"{key}.json", passphrase, source=random, scrypt_cost=scrypt_cost)


def write_config(folder: Path, name: str, policy: Policy, ledger: LedgerAddress | None) -> None:
    """Write ``node.toml``."""
    write_atomically(folder / "node.toml", config_of(name, policy, ledger), PRIVATE)


def config_of(name: str, policy: Policy, ledger: LedgerAddress | None) -> bytes:
    """Return a ``node.toml`` without comments."""
    sections: list[tuple[str, dict[str, Any]]] = [("policy", asdict(policy))]
    if ledger is not None:
        sections.append(("ledger", asdict(ledger)))
    lines = [f"name = {toml_value(name)}"]
    for title, values in sections:
        lines += ["", f"[{title}]", *(f"{key} = {toml_value(value)}" for key, value in values.items())]
    return ("\n".join(lines) + "\n").encode()


def toml_value(value: object) -> str:
    """Return a TOML value; JSON's integers, booleans, lists and strings are TOML's, but for DEL and surrogate pairs."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
