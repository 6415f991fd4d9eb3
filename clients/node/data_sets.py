"""A node's data sets: added, listed, opened for training, proven record by record, and erased.

::

    FOLDER/data/records.csv     the data set that the node was made with, named ``records``; its salt is keys/data-salt
    FOLDER/data/NAME/           any other
      manifest.json             what others may see, signed by the holder; without it the data set does not exist
      salt                      hides the commitment
      records.csv               the records, unless they stay where they are
    FOLDER/data/erased.jsonl    commitments of erased data sets, and when; nothing else of them

What a commitment is, and what erasing its salt does, is :mod:`clients.node.manifest`. Files are read line by line, so their size
does not matter for memory. A record is a line; the first line names the columns.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Self

from clients.errors import NodeStateError
from clients.node.manifest import Manifest, Opening, describe, open_record
from fl_core.codec import construct, read_json
from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import DecodeError, InputError
from fl_core.randomness import SEED_SIZE, RandomSource
from fl_core.secret import Secret
from ledger.files import write_atomically
from ledger.signer import Signer
from ledger.typed_data import SIGNATURE_SIZE, verify

DEFAULT = "records"
MAX_MANIFEST = 1 << 20  # bytes
MAX_LINE = 1 << 20  # bytes of one record
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PRIVATE = 0o600
_FORMAT = "suture-dataset-v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedManifest:
    """A data set as its holder describes it to others.

    Attributes:
        holder: The holder's account, hexadecimal.
        name: The data set's name in the house.
        task: The training task that checked it.
        columns: The first line of the file.
        records: Number of records.
        commitment: Salted commitment to all of them, hexadecimal.
        source: Where the records are, when they are not in the node's folder.
        created: Unix time in seconds.
        signature: The holder's signature over all that, hexadecimal.
    """

    holder: str
    name: str
    task: str
    columns: str
    records: int
    commitment: str
    source: str
    created: int
    signature: str = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            if type(getattr(self, one.name)) is not (int if one.type == "int" else str):
                raise ValueError(f"{one.name} is not of the type {one.type}")
        if (
            not _NAME.fullmatch(self.name)
            or self.records < 1
            or len(bytes.fromhex(self.commitment)) != DIGEST_SIZE
        ):
            raise ValueError("name, number of records or commitment are none")

    @property
    def signed(self) -> bytes:
        """What is signed: 32 bytes."""
        return digest(Label.DATASET_MANIFEST, replace(self, signature="").encode())

    def encode(self) -> bytes:
        """Return the document."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True, indent=1).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a document; whether its signature holds is :func:`verify_manifest`'s.

        Raises:
            DecodeError: It is not the canonical form of a manifest.
        """
        values = read_json(data, limit=MAX_MANIFEST, what="data-set manifest", containers=1)
        if not isinstance(values, dict) or values.pop("format", None) != _FORMAT:
            raise DecodeError("data-set manifest: another format")
        if set(values) != {one.name for one in fields(cls)}:
            raise DecodeError("data-set manifest: unknown fields")
        manifest = construct("data-set manifest", lambda: cls(**values))
        if manifest.encode() != data:
            raise DecodeError("data-set manifest: not in its canonical form")
        return manifest


def verify_manifest(manifest: SignedManifest) -> None:
    """Check that the holder signed it.

    Raises:
        VerificationError: It did not.
    """
    signature = bytes.fromhex(manifest.signature) if len(manifest.signature) == 2 * SIGNATURE_SIZE else b""
    verify(manifest.signed, signature, bytes.fromhex(manifest.holder))


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


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file: its lines but for the first.

    Raises:
        InputError: It cannot be read, or a line is longer than :data:`MAX_LINE`.
    """
    try:
        with path.open("rb") as file:
            for number in range(1 << 62):
                line = file.readline(MAX_LINE + 1)
                if not line:
                    return
                if len(line) > MAX_LINE:
                    raise InputError(f"line {number + 1} of {path} is longer than {MAX_LINE} bytes.")
                if number:
                    yield line.removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}).", fix="Check path and permissions."
        ) from error


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
        InputError: It is taken, or malformed.
    """
    if name == DEFAULT or (_NAME.fullmatch(name) and (folder / "data" / name / "manifest.json").exists()):
        raise InputError(f"a data set {name!r} is there already.", fix="Choose another name.")
    if not _NAME.fullmatch(name):
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
        InputError: The name is taken or malformed, or the file is not one of that task.
    """
    home = folder / "data" / name
    _check_name(folder, name)
    columns = _check_lines(source)
    check_rows(source)
    if home.exists():
        shutil.rmtree(
            home
        )  # an addition that was broken off: it has no manifest, so nobody ever saw its commitment
    home.mkdir(mode=0o700, parents=True)
    write_atomically(home / "salt", random.secret(SEED_SIZE).reveal().hex().encode(), _PRIVATE)
    path = home / "records.csv" if copy else source.resolve()
    if copy:
        _copy(source, path)
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


def _copy(source: Path, target: Path) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with source.open("rb") as read, os.fdopen(descriptor, "wb") as written:
        shutil.copyfileobj(read, written, 1 << 20)
        written.flush()
        os.fsync(written.fileno())


def _check_lines(source: Path) -> str:
    """Check that every record of a CSV file is one line of as many fields as there are columns; return the first line.

    Raises:
        InputError: It is not, or cannot be read.
    """
    try:
        with source.open("r", encoding="utf-8", newline="") as file:
            header = file.readline(MAX_LINE).rstrip("\r\n")
            columns = len(next(csv.reader([header], strict=True), []))
            _check_rows(source, file, columns)
    except OSError as error:
        raise InputError(
            f"{source} cannot be read ({error.strerror}).", fix="Check path and permissions."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{source} is no CSV file in UTF-8 ({error}).", fix="Save it as CSV in UTF-8."
        ) from error
    return header


def _check_rows(source: Path, lines: Iterable[str], columns: int) -> None:
    rows = csv.reader(lines, strict=True)
    count = 0
    for count, row in enumerate(rows, 1):
        if rows.line_num != count:
            raise InputError(
                f"{source}, line {count + 1}: a field holds a line break.", fix="A record has to be one line."
            )
        if len(row) != columns:
            raise InputError(
                f"{source}, line {count + 1}: {len(row)} fields, the first line names {columns} columns.",
                fix="Mend that line.",
            )
    if not count:
        raise InputError(
            f"{source} holds no record.", fix="The first line names the columns, the others are records."
        )
