"""Where a node's keys are: the account with the first key set, and the key sets of rotations; and what opens them.

::

    keys/account.json     keys/transport.json      account, and key set 1 (the account's key signs)
    keys/signer-2.json    keys/transport-2.json    key set 2, after a rotation; and so on
    keys/signer-next.json keys/transport-next.json a rotation that is not over
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from fl_core.errors import InputError
from fl_core.randomness import RandomSource
from fl_core.secret import Secret
from ledger.files import read_private, write_atomically
from ledger.signer import create_keystore

PASSPHRASE_VARIABLE = "SUTURE_NODE_PASSPHRASE"  # noqa: S105 - the name of a variable
FILE_VARIABLE = "SUTURE_NODE_PASSPHRASE_FILE"
"""Names a file with the passphrase, elsewhere than in the folder: on a file system in memory, say."""
MAX_PASSPHRASE = 1024  # bytes
RENEWAL = "keys/renew-prekeys"
"""File that a rotation leaves: the next node begins with a new prekey, signed by the new key."""
PRIVATE = 0o600
_LINE_END = b"\r\n"
SETS_KEPT = 2
"""Rotated key sets that a node opens: the newest, and the one that a round under way may still name."""


def given_passphrase() -> Secret | None:
    """Return the passphrase that the environment names or holds, if it does.

    The end of a line behind a passphrase, as an editor leaves it, is none of it.

    Raises:
        InputError: The file that it names is missing or empty, or others can read it.
    """
    named = os.environ.get(FILE_VARIABLE, "")
    if named:
        return _named_passphrase(Path(named))
    given = os.environb.get(PASSPHRASE_VARIABLE.encode(), b"").rstrip(_LINE_END)
    return Secret(given) if given else None


def _named_passphrase(path: Path) -> Secret:
    found = read_private(path, MAX_PASSPHRASE, f"passphrase file that {FILE_VARIABLE} names,").rstrip(
        _LINE_END
    )
    if not found:
        raise InputError(
            f"The passphrase file {path}, which {FILE_VARIABLE} names, is empty.",
            fix="Write the passphrase into it, or unset the variable.",
        )
    return Secret(found)


def passphrase_file(folder: Path) -> Path | None:
    """Return the file with the passphrase: ``keys/passphrase`` unless it is missing or empty, or the one that the environment names.

    An empty one is what a container engine leaves where it mounts a secret into the folder. One that cannot be read is there.
    """
    path, named = folder / "keys" / "passphrase", os.environ.get(FILE_VARIABLE, "")
    elsewhere = Path(named) if named else None
    try:
        if path.stat().st_size == 0 or not _passphrase_in(path):
            return elsewhere
    except FileNotFoundError:
        return elsewhere
    except OSError:
        return path  # who opens it says what is wrong
    return path


def _passphrase_in(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_PASSPHRASE).rstrip(_LINE_END)


def read_passphrase(folder: Path) -> Secret:
    """Return what opens the node's keystores.

    It is in ``keys/passphrase``, or else in the file that :data:`FILE_VARIABLE` names, or else in :data:`PASSPHRASE_VARIABLE`.

    Raises:
        InputError: It is in none of them, or others can read the file that the environment names.
    """
    path, kept = passphrase_file(folder), folder / "keys" / "passphrase"
    if path != kept:
        given = given_passphrase()
        if given is None:
            raise InputError(
                f"There is no passphrase: {kept} is missing or empty.",
                fix=f"Point to a folder made for a node, or set {FILE_VARIABLE} or {PASSPHRASE_VARIABLE}.",
            )
        return given
    try:
        return Secret(_passphrase_in(kept))
    except OSError as error:
        raise InputError(
            f"{kept} cannot be read ({error.strerror}).",
            fix=f"Point to a folder made for a node, or set {FILE_VARIABLE} or {PASSPHRASE_VARIABLE}.",
        ) from error


@dataclass(frozen=True, slots=True)
class KeySetFiles:
    """Keystores of one rotated key set.

    Attributes:
        number: Its number on the ledger.
        signer: The signing key.
        transport: The transport seed.
    """

    number: int
    signer: Path
    transport: Path


def key_sets(folder: Path) -> list[KeySetFiles]:
    """Return the key sets of finished rotations, oldest first; the first set is account and transport key themselves."""
    found = []
    for signer in (folder / "keys").glob("signer-*.json"):
        number = signer.stem.removeprefix("signer-")
        transport = signer.with_name(f"transport-{number}.json")
        if number.isascii() and number.isdigit() and transport.is_file():
            found.append(KeySetFiles(int(number), signer, transport))
    return sorted(found, key=lambda files: files.number)


def next_set(folder: Path, passphrase: Secret, *, random: RandomSource, scrypt_cost: int) -> KeySetFiles:
    """Return the keystores of a rotation that is not over, and make what is missing of them; again does no harm.

    The number is 0 until the ledger gives one.
    """
    keys = folder / "keys"
    files = KeySetFiles(0, keys / "signer-next.json", keys / "transport-next.json")
    for path in (files.signer, files.transport):
        if not path.exists():
            half = path.with_suffix(".half")
            half.unlink(missing_ok=True)
            create_keystore(half, passphrase, source=random, scrypt_cost=scrypt_cost)
            half.replace(path)
    return files


def has_next(folder: Path) -> bool:
    """Tell whether a rotation is not over."""
    return (folder / "keys" / "signer-next.json").exists()


def finish_rotation(folder: Path, number: int) -> None:
    """Give the next key set the number that the ledger gave it; continues where a crash stopped.

    The signing key is renamed last: as long as its next file is there, the rotation is not over.
    """
    write_atomically(folder / RENEWAL, b"", PRIVATE)
    keys = folder / "keys"
    for name in ("transport", "signer"):
        path = keys / f"{name}-next.json"
        if path.exists():
            path.replace(keys / f"{name}-{number}.json")
