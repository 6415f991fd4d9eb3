"""The seal of a public folder: which files are in it, and that the run's coordinator says so.

``seal.json`` lists every other file with its SHA-256. The coordinator signs, as EIP-712 ``Bundle`` for its ledger, the run
and :func:`seal_digest` of that list. A seal proves nothing about what the files say; it makes one folder out of them, so
that a copy with a file lost, added or altered is recognised before anything else is looked at. The coordinator writes it
after every file is closed (:func:`write_seal`); :mod:`ledger.audit` checks it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fl_core.digests import DIGEST_SIZE, Label, digest
from fl_core.errors import DecodeError, InputError, VerificationError
from ledger.files import write_atomically
from ledger.papers import MAX_PAPER, PublicFolder, SealPaper
from ledger.typed_data import SIGNATURE_SIZE, Bundle, Domain, verify

UNFINISHED = ("-wal", "-shm", "-journal", ".lock")
"""Endings of the files beside a database that is still open, or was not closed."""

_PIECE = 1 << 20  # bytes read at a time

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
    """

    files: tuple[str, ...]
    others: tuple[str, ...]


def list_files(folder: Path) -> Listing:
    """List ``folder`` without following links; the seal itself is left out.

    Raises:
        OSError: A folder in it cannot be read.
    """
    files: list[str] = []
    others: list[str] = []
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                    continue
                kind = files if entry.is_file(follow_symlinks=False) else others
                kind.append(path.relative_to(folder).as_posix())
    sealed = (name for name in files if name != PublicFolder(folder).seal.name)
    return Listing(files=tuple(sorted(sealed)), others=tuple(sorted(others)))


def hash_file(path: Path) -> bytes:
    """Return a file's SHA-256.

    Raises:
        OSError: It cannot be read.
    """
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            hasher.update(piece)
    return hasher.digest()


def seal_digest(files: Mapping[str, bytes]) -> bytes:
    """Return what stands for a list of files in the signature.

    It is ``digest(Label.SEAL, path 1, SHA-256 1, path 2, SHA-256 2, ...)`` in ascending order of the paths, as UTF-8; the
    labelled digest binds the length of each part, so no two lists have the same one.

    Args:
        files: Path relative to the folder -> SHA-256, 32 bytes.
    """
    parts = (
        part
        for path, content in sorted(files.items())
        for part in (path.encode("utf-8", "surrogateescape"), content)
    )
    return digest(Label.SEAL, *parts)


def write_seal(public: PublicFolder, *, run: bytes, domain: Domain, signer: DigestSigner) -> None:
    """List, hash, sign and write. Called by the coordinator when all files of the folder are closed; again is allowed.

    Args:
        public: The folder.
        run: Run id.
        domain: The ledger.
        signer: The coordinator's registered signing key.

    Raises:
        InputError: Something in the folder is no finished file, or cannot be read.
    """
    try:
        listing = list_files(public.path)
        for name in (*listing.others, *(file for file in listing.files if file.endswith(UNFINISHED))):
            raise InputError(
                f"{public.path / name} cannot be sealed.",
                fix="Close the ledger and remove what is no plain file.",
            )
        files = {name: hash_file(public.path / name) for name in listing.files}
    except OSError as error:
        raise InputError(f"{public.path} cannot be sealed ({error.strerror}).") from error
    signature = signer.sign_digest(Bundle(run=run, files=seal_digest(files)).digest(domain))
    paper = SealPaper(
        run=run.hex(),
        files={name: content.hex() for name, content in files.items()},
        signature=signature.hex(),
    )
    write_atomically(public.seal, paper.encode())


def read_seal(public: PublicFolder) -> SealPaper:
    """Read the seal.

    Raises:
        DecodeError: There is none, or it is not in its canonical form.
    """
    try:
        with public.seal.open("rb") as file:
            return SealPaper.decode(file.read(MAX_PAPER + 1))
    except OSError as error:
        raise DecodeError(f"the seal cannot be read ({error.strerror})") from error


def sealed_files(paper: SealPaper) -> dict[str, bytes]:
    """Return the list of a seal: path -> SHA-256.

    Raises:
        DecodeError: An entry is not a path and a digest.
    """
    if not isinstance(paper.files, dict):
        raise DecodeError("the seal's list of files is none")
    return {
        path: unhex(content, DIGEST_SIZE, f"the digest of {path}") for path, content in paper.files.items()
    }


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
