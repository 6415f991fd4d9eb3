"""The digest of a Flower app bundle, recomputed from the files that really lie in a folder.

Flower tells a ClientApp neither the digest of its bundle nor whether the installed files still match it: the folder is
named by the first eight hex digits only, and an existing one is used unchecked. A bundle is a zip file of stored entries
with a fixed date: ``pyproject.toml``, the other files by name, and a manifest. So the installed folder determines the
bundle byte for byte, and this module rebuilds it with the standard library alone. Format read in flwr 1.41
(``flwr/cli/build.py``); a test compares it with Flower's own builder.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

from fl_core.errors import VerificationError

MAX_BUNDLE_BYTES = 10 * 1024 * 1024
"""Flower refuses larger bundles."""

_CONFIG = "pyproject.toml"
_MANIFEST = ".info/CONTENT"
_DATE = (2024, 10, 1, 0, 0, 0)
_SUFFIXES = frozenset({".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl"})


def digest_of_installed(folder: Path) -> bytes:
    """Return the SHA-256 of the bundle from which ``folder`` was installed, given that nothing was changed since.

    Every file counts but Flower's own manifest and the byte code that Python leaves in ``__pycache__``.

    Raises:
        VerificationError: There is no ``pyproject.toml``, a file of a kind that bundles do not carry, or more bytes than
            a bundle can have.
    """
    names = [_CONFIG, *sorted(_carried(folder))]
    manifest = []
    packed = io.BytesIO()
    budget = MAX_BUNDLE_BYTES
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            content = _read(folder / name, budget)
            budget -= len(content)
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)
            manifest.append(f"{name},{hashlib.sha256(content).hexdigest()},{len(content) * 8}")
        archive.writestr(zipfile.ZipInfo(_MANIFEST, _DATE), "\n".join(manifest))
    return hashlib.sha256(packed.getbuffer()).digest()


def verify_installed(folder: Path, sha256: bytes) -> None:
    """Check that ``folder`` holds the files of the bundle ``sha256`` and no others.

    Raises:
        VerificationError: It does not.
    """
    found = digest_of_installed(folder)
    if found != sha256:
        raise VerificationError(
            f"The app in {folder} is not the bundle that was agreed on: expected {sha256.hex()}, found {found.hex()}.",
            fix="Remove that folder and start again from the agreed bundle.",
        )


def _carried(folder: Path) -> list[str]:
    """Return the names of the files that the bundle carried, besides its ``pyproject.toml``."""
    names = []
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or "__pycache__" in path.parts or name in (_CONFIG, _MANIFEST):
            continue
        if path.suffix not in _SUFFIXES and name != "LICENSE":
            raise VerificationError(f"The app in {folder} holds {name!r}, of a kind that no bundle carries.")
        names.append(name)
    return names


def _read(path: Path, budget: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(budget + 1)
    except OSError as error:
        raise VerificationError(f"The app file {path} cannot be read: {error.strerror}.") from error
    if len(content) > budget:
        raise VerificationError(
            f"The app in {path.parent} is larger than a bundle can be ({MAX_BUNDLE_BYTES} bytes)."
        )
    return content
