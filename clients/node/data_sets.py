"""A node's data sets: added, listed, opened for training, proven record by record, and erased.

::

    FOLDER/data/records.csv     the data set that the node was made with, named ``records``; its salt is keys/data-salt
    FOLDER/data/NAME/           any other
      manifest.json             what others may see, signed by the holder; without it the data set does not exist
      salt                      hides the commitment
      records.csv               the records, unless they stay where they are
    FOLDER/data/erased.jsonl    commitments of erased data sets, and when; nothing else of them

What a commitment is, and what erasing its salt does, is :mod:`clients.node.manifest`; what others may see of a data set,
:mod:`clients.node.signed_manifest`; the file of records, :mod:`clients.node.record_file`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from clients.errors import NodeStateError
from clients.node.manifest import Manifest, Opening, describe, open_record
from clients.node.record_file import check_lines, copy_records, read_records
from clients.node.signed_manifest import MAX_MANIFEST, NAME, SignedManifest, verify_manifest
from fl_core.codec import read_json
from fl_core.digests import DIGEST_SIZE
from fl_core.errors import DecodeError, InputError
from fl_core.randomness import SEED_SIZE, RandomSource
from fl_core.secret import Secret
from ledger.files import write_atomically
from ledger.signer import Signer

DEFAULT = "records"
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A data set on this machine.

    Attributes:
        name: Its name.
        path: Its records.
        salt: File of its salt.
        copied: Whether the records are in the node's folder.
        manifest: What others may see; None for the one that the node was made with.
    """

    name: str
    path: Path
    salt: Path
    copied: bool
    manifest: SignedManifest | None


def stored(folder: Path) -> list[Stored]:
    """Return the data sets in a node's folder, by name.

    Raises:
        NodeStateError: A manifest is damaged.
    """
    found = []
    default = Stored(
        name=DEFAULT,
        path=folder / "data" / "records.csv",
        salt=folder / "keys" / "data-salt",
        copied=True,
        manifest=None,
    )
    if default.salt.exists() or default.path.exists():
        found.append(default)
    for place in sorted((folder / "data").glob("*/manifest.json")):
        try:
            manifest = SignedManifest.decode(place.read_bytes()[: MAX_MANIFEST + 1])
        except DecodeError as error:
            raise NodeStateError(
                f"{place} is damaged ({error.message}).", fix="Add the data set again."
            ) from error
        home = place.parent
        path = Path(manifest.source) if manifest.source else home / "records.csv"
        found.append(
            Stored(
                name=home.name, path=path, salt=home / "salt", copied=not manifest.source, manifest=manifest
            )
        )
    return found


def find(folder: Path, name: str) -> Stored:
    """Return one data set.

    Raises:
        InputError: There is none of that name.
    """
    known = {one.name: one for one in stored(folder)}
    if name not in known:
        raise InputError(
            f"there is no data set {name!r} in {folder}.",
            fix=f"There are: {', '.join(known) or 'none'}. See them: suture-node data list {shlex.quote(str(folder))}",
        )
    return known[name]


def commitment_of(folder: Path, name: str) -> bytes:
    """Return a data set's commitment; zeros where there is no such data set.

    Raises:
        InputError: Its records or its salt cannot be read.
    """
    known = {one.name: one for one in stored(folder)}
    if name not in known:
        return bytes(DIGEST_SIZE)
    one = known[name]
    return measure(one).commitment if one.manifest is None else bytes.fromhex(one.manifest.commitment)


def committed(folder: Path, name: str) -> Manifest:
    """Return a data set as a node of this folder uses it: what its contributions carry, and so what its consents name.

    Opens no key: records and salt are read, and compared with the signed manifest.

    Raises:
        InputError: There is no such data set, it cannot be read, or it was changed.
        VerificationError: The holder did not sign the manifest.
    """
    return check(find(folder, name))


def measure(one: Stored) -> Manifest:
    """Read a data set and compute its commitment again.

    Raises:
        InputError: It cannot be read, or has no records.
    """
    try:
        return describe(read_records(one.path), read_salt(one.salt))
    except ValueError as error:
        raise InputError(f"{one.path}: {error}.", fix="Put the records there.") from error


def check(one: Stored) -> Manifest:
    """Compute a data set's commitment again and compare it with its manifest, and that with the holder's signature.

    Raises:
        InputError: The records cannot be read, or are not those of the manifest.
        VerificationError: The holder did not sign the manifest.
    """
    found = measure(one)
    if one.manifest is not None:
        verify_manifest(one.manifest)
        if (found.records, found.commitment.hex()) != (one.manifest.records, one.manifest.commitment):
            raise InputError(
                f"{one.path} is not what was committed to as {one.name!r}: it was changed since.",
                fix="Restore the file, or add it as a new data set and erase this one.",
            )
    return found


def read_salt(path: Path) -> Secret:
    """Read a salt.

    Raises:
        InputError: It is missing or damaged; the text does not quote it.
    """
    try:
        salt = bytes.fromhex(path.read_bytes()[:1024].decode("ascii"))
        if len(salt) != SEED_SIZE:
            raise ValueError("wrong length")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}).", fix="Restore it from a copy."
        ) from error
    except ValueError:
        raise InputError(
            f"{path} is damaged: it should hold {2 * SEED_SIZE} hexadecimal digits.",
            fix="Restore it from a copy; the data set's commitment cannot be made without it.",
        ) from None  # the cause could quote the salt
    return Secret(salt)


def _check_name(folder: Path, name: str) -> None:
    """Refuse a name that no new data set can have.

    Raises:
        InputError: It is reserved, taken, or malformed.
    """
    if name == DEFAULT:  # also once that one is erased
        raise InputError(
            f"the name {name!r} is reserved for the data set that the node was made with.",
            fix="Choose another name.",
        )
    if NAME.fullmatch(name) and (folder / "data" / name / "manifest.json").exists():
        raise InputError(f"a data set {name!r} is there already.", fix="Choose another name.")
    if not NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a new data set.",
            fix="Choose another one, of small letters, digits and dashes.",
        )


def add(
    folder: Path,
    name: str,
    source: Path,
    *,
    task: str,
    account: Signer,
    copy: bool,
    now: int,
    random: RandomSource,
    check_rows: Callable[[Path], None],
) -> SignedManifest:
    """Commit to a file as a new data set.

    Args:
        folder: The node's folder.
        name: Its name: small letters, digits and dashes.
        source: The CSV file.
        task: The task that it is for.
        account: Signs the manifest.
        copy: Whether to copy the records into the node's folder; else they stay where they are.
        now: Unix time in seconds.
        random: Fresh randomness, for the salt.
        check_rows: The task's check of the file; raises an :class:`InputError`.

    Raises:
        InputError: The name is reserved, taken or malformed, or the file is not one of that task.
    """
    home = folder / "data" / name
    _check_name(folder, name)
    columns = check_lines(source)
    check_rows(source)
    if home.exists():
        shutil.rmtree(
            home
        )  # an addition that was broken off: it has no manifest, so nobody ever saw its commitment
    home.mkdir(mode=0o700, parents=True)
    write_atomically(home / "salt", random.secret(SEED_SIZE).reveal().hex().encode(), _PRIVATE)
    path = home / "records.csv" if copy else source.resolve()
    if copy:
        copy_records(source, path)
    found = describe(read_records(path), read_salt(home / "salt"))
    manifest = SignedManifest(
        holder=account.address.hex(),
        name=name,
        task=task,
        columns=columns,
        records=found.records,
        commitment=found.commitment.hex(),
        source="" if copy else str(path),
        created=now,
    )
    signed = replace(manifest, signature=account.sign_digest(manifest.signed).hex())
    write_atomically(home / "manifest.json", signed.encode(), _PRIVATE)
    return signed


def prove(one: Stored, position: int) -> Opening:
    """Return what shows that the record at ``position`` (from 0) is in a data set, and nothing about the others.

    Raises:
        InputError: There is no such record, or the records cannot be read.
    """
    try:
        return open_record(read_records(one.path), read_salt(one.salt), position)
    except IndexError as error:
        raise InputError(f"there is no record {position + 1} in {one.name!r}.") from error


def erase(folder: Path, name: str, now: int) -> bytes:
    """Erase a data set's salt, its records in the node's folder and its manifest.

    Returns its commitment; empty where salt or records were gone already, for instance because an
    earlier call was broken off, and this one goes on.
    Records that stayed where they were are left there.

    Raises:
        InputError: There is no such data set.
    """
    one = find(folder, name)
    commitment = b""
    if one.salt.exists():  # else an erasure was broken off after its commitment was written down
        with suppress(InputError):  # its records are gone already; what is left is erased all the same
            commitment = commitment_of(folder, name)
            _bury(folder, commitment, now)
    _overwrite(one.salt)
    if one.copied:
        _overwrite(one.path)
    if one.manifest is not None:
        _overwrite(one.salt.with_name("manifest.json"))
        shutil.rmtree(one.salt.parent)
    return commitment


def erased(folder: Path) -> dict[bytes, int]:
    """Return the commitments of erased data sets, and when each was erased (Unix time in seconds)."""
    found = {}
    path = folder / "data" / "erased.jsonl"
    for line in path.read_bytes().splitlines() if path.exists() else ():
        values = read_json(line, limit=256, what="erased data set", containers=1)
        if isinstance(values, dict):
            found[bytes.fromhex(str(values["commitment"]))] = int(str(values["at"]))
    return found


def _bury(folder: Path, commitment: bytes, now: int) -> None:
    known = erased(folder)
    known.setdefault(commitment, now)
    lines = (json.dumps({"at": at, "commitment": one.hex()}) + "\n" for one, at in known.items())
    write_atomically(folder / "data" / "erased.jsonl", "".join(lines).encode(), _PRIVATE)


def _overwrite(path: Path) -> None:
    """Overwrite a file, wait for the disk and delete it; a missing one is fine."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        left = os.fstat(file.fileno()).st_size
        while left > 0:
            left -= file.write(bytes(min(left, 1 << 20)))
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
