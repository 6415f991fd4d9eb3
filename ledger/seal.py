"""The seal of a public folder: which files are in it, and that the run's coordinator says so.

``seal.json`` lists every other file with its size and its SHA-256. The coordinator signs, as EIP-712 ``Bundle`` for its ledger, the run
and :func:`seal_digest` of that list. A seal proves nothing about what the files say; it makes one folder out of them, so
that a copy with a file lost, added or altered is recognised before anything else is looked at. The coordinator writes it
after every file is closed (:func:`write_seal`); :mod:`ledger.audit` checks it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import DecodeError, InputError, VerificationError
from ledger.archive import MAX_OBJECT_BYTES
from ledger.checkpoints import CHECKPOINT_SIZE
from ledger.files import open_plain, read_plain, write_atomically
from ledger.papers import MAX_CHAIN_BYTES, PublicFolder, RoundPaper, RunPaper, SealPaper
from ledger.typed_data import SIGNATURE_SIZE, Bundle, Domain, verify

UNFINISHED = ("-wal", "-shm", "-journal", ".lock")
"""Endings of the files beside a database that is still open, or was not closed."""

MAX_ENTRIES = 100_000
"""Most files and folders of a public folder; a seal has no room for more."""

_PIECE = 1 << 20  # bytes read at a time
_SIZE_BYTES = 8
_ENTRY = re.compile(r"(0|[1-9][0-9]{0,18}) ([0-9a-f]{64})")

Progress = Callable[[int, int], None]
"""Told how much is done, and how much there is."""


class DigestSigner(Protocol):
    """Signs 32 bytes; every :class:`ledger.signer.Signer` does."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return a signature of 65 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies in a folder: paths relative to it, with ``/``, ascending.

    Attributes:
        files: Regular files.
        others: Links, sockets and whatever else has no content of its own.
        empty: Folders without anything in them, which no list of files shows.
    """

    files: tuple[str, ...]
    others: tuple[str, ...]
    empty: tuple[str, ...]


class Content(NamedTuple):
    """What is in a file: its size in bytes and its SHA-256."""

    size: int
    sha256: bytes


def list_files(folder: Path) -> Listing:
    """List ``folder`` without following links; the seal itself is left out.

    Raises:
        DecodeError: It has more than :data:`MAX_ENTRIES` entries.
        OSError: A folder in it cannot be read.
    """
    files: list[str] = []
    others: list[str] = []
    empty: list[str] = []
    waiting, seen = [folder], 0
    while waiting:
        parent, before = waiting.pop(), seen
        with os.scandir(parent) as entries:
            for entry in entries:
                seen += 1
                if seen > MAX_ENTRIES:
                    raise DecodeError(f"the folder has more than {MAX_ENTRIES} entries")
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                    continue
                kind = files if entry.is_file(follow_symlinks=False) else others
                kind.append(path.relative_to(folder).as_posix())
        if seen == before and parent != folder:
            empty.append(parent.relative_to(folder).as_posix())
    sealed = (name for name in files if name != PublicFolder(folder).seal.name)
    return Listing(files=tuple(sorted(sealed)), others=tuple(sorted(others)), empty=tuple(sorted(empty)))


def most_bytes(public: PublicFolder, name: str) -> int:
    """Return how large a file of a public folder can be, by its place in it."""
    path = public.path / name
    if path == public.run:
        return RunPaper.LIMIT
    if path == public.chain:
        return MAX_CHAIN_BYTES
    if path.parent == public.checkpoints:
        return CHECKPOINT_SIZE
    return RoundPaper.LIMIT if path.parent == public.rounds else MAX_OBJECT_BYTES


def hash_file(path: Path, limit: int, *, parts: int = 1) -> Content:
    """Hash a plain file of at most ``limit`` bytes; see :func:`ledger.files.open_plain`.

    Raises:
        OSError: It cannot be read, is no plain file, or is larger.
    """
    hasher, size = hashlib.sha256(), 0
    with open_plain(path, limit, parts=parts) as file:
        while size <= limit and (piece := file.read(_PIECE)):
            hasher.update(piece)
            size += len(piece)
    return Content(size=size, sha256=hasher.digest())


def hash_member(public: PublicFolder, name: str, limit: int) -> Content:
    """Hash a file of a public folder by its name in it; arguments and errors are those of :func:`hash_file`."""
    return hash_file(public.path / name, limit, parts=name.count("/") + 1)


def seal_digest(files: Mapping[str, Content]) -> bytes:
    """Return what stands for a list of files in the signature.

    It is ``digest(Label.SEAL, path 1, size 1, SHA-256 1, path 2, size 2, SHA-256 2, ...)`` in ascending order of the paths,
    as UTF-8, sizes as eight big-endian bytes; the labelled digest binds the length of each part, so no two lists have the
    same one.

    Args:
        files: Path relative to the folder -> what is in it.
    """
    parts = (
        part
        for path, content in sorted(files.items())
        for part in (
            path.encode("utf-8", "surrogateescape"),
            content.size.to_bytes(_SIZE_BYTES, "big"),
            content.sha256,
        )
    )
    return digest(Label.SEAL, *parts)


def write_seal(public: PublicFolder, *, run: bytes, domain: Domain, signer: DigestSigner) -> None:
    """Remove empty folders, list, hash, sign and write. Called by the coordinator when all files of the folder are closed; again is allowed.

    Args:
        public: The folder.
        run: Run id.
        domain: The ledger.
        signer: The coordinator's registered signing key.

    Raises:
        InputError: Something in the folder is no finished file, or cannot be read.
    """
    try:
        listing = _without_empty_folders(public.path)
        for name in (
            *listing.others,
            *(file for file in listing.files if file.endswith(UNFINISHED)),
        ):
            raise InputError(
                f"{public.path / name} cannot be sealed.",
                fix="Close the ledger and remove what is no plain file.",
            )
        files = {name: hash_member(public, name, most_bytes(public, name)) for name in listing.files}
    except OSError as error:
        raise InputError(f"{error.filename or public.path} cannot be sealed ({error.strerror}).") from error
    except DecodeError as error:
        raise InputError(f"{public.path} cannot be sealed: {error.message}.") from error
    signature = signer.sign_digest(Bundle(run=run, files=seal_digest(files)).digest(domain))
    paper = SealPaper(
        run=run.hex(),
        files={name: f"{content.size} {content.sha256.hex()}" for name, content in files.items()},
        signature=signature.hex(),
    )
    write_atomically(public.seal, paper.encode())


def _without_empty_folders(folder: Path) -> Listing:
    """List a folder after removing the empty folders in it, which a crash may have left."""
    while (listing := list_files(folder)).empty:
        for name in listing.empty:
            (folder / name).rmdir()
    return listing


def read_seal(public: PublicFolder) -> SealPaper:
    """Read the seal.

    Raises:
        DecodeError: There is none, or it is not in its canonical form.
    """
    try:
        return SealPaper.decode(read_plain(public.seal, SealPaper.LIMIT))
    except OSError as error:
        raise DecodeError(f"the seal cannot be read ({error.strerror})") from error


def sealed_files(paper: SealPaper) -> dict[str, Content]:
    """Return the list of a seal: path -> what is in the file.

    Raises:
        DecodeError: An entry is not a path, a size and a digest.
    """
    files = {}
    for path, entry in paper.files.items():
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise DecodeError(f"the seal's entry of {path} is not a size and a SHA-256")
        files[path] = Content(size=int(match[1]), sha256=bytes.fromhex(match[2]))
    return files


def check_seal(paper: SealPaper, *, run: bytes, domain: Domain, signer: bytes) -> None:
    """Check whose seal this is; that the files are those on the list is the caller's to compare.

    Args:
        paper: The seal.
        run: Run id.
        domain: The ledger.
        signer: Address of the coordinator's registered signing key.

    Raises:
        DecodeError: A field is malformed.
        VerificationError: It is of another run, or was signed by another key.
    """
    if unhex(paper.run, DIGEST_SIZE, "the seal's run") != run:
        raise VerificationError("the seal is of another run")
    signature = unhex(paper.signature, SIGNATURE_SIZE, "the seal's signature")
    verify(Bundle(run=run, files=seal_digest(sealed_files(paper))).digest(domain), signature, signer)


def unhex(value: object, size: int, what: str) -> bytes:
    """Read a hexadecimal field of a paper: lower case, no prefix, exactly ``size`` bytes.

    Raises:
        DecodeError: It is not of that form.
    """
    try:
        if (
            isinstance(value, str)
            and len(value) == 2 * size
            and (data := bytes.fromhex(value)).hex() == value
        ):
            return data
    except ValueError:
        pass
    raise DecodeError(f"{what} is not {size} bytes in lower-case hexadecimal digits")
