"""The app folder that Flower runs, its bundle (what Flower calls a FAB) and the bundle's digest.

The folder holds a ``pyproject.toml`` and a package of two modules of one assignment each, which take the ServerApp and
the ClientApp from installed packages. So the bundle that travels to the nodes is a few hundred bytes that anybody can
read, and its digest, which the terms of a run name, changes with what is referred to and with the names and defaults of
the run config; not with the installed packages, whose versions the terms name for themselves.

Flower looks for the two objects in the syntax tree, without importing: only a plain assignment is found.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from coordinator.engines import flower_private
from coordinator.engines.bundle_digest import verify_installed
from coordinator.engines.references import split
from coordinator.engines.settings import Setting, encode_settings, encode_value
from coordinator.errors import BadBundle

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PACKAGE = "suture_bundle"

_CONFIG = """\
[project]
name = {name}
version = {version}
description = "Names the apps of a Suture run; their code is installed, not sent."

[tool.flwr.app]
publisher = {publisher}

[tool.flwr.app.components]
serverapp = "{package}.server:app"
clientapp = "{package}.client:app"

[tool.flwr.app.config]
{settings}"""

_MODULE = '''\
"""Gives Flower the installed {part}; nothing else runs from this bundle."""

from {module} import {attribute} as installed

app = installed
'''


class Bundle(NamedTuple):
    """A built bundle: the file, and the SHA-256 of its bytes, by which Flower and the ledger name it."""

    path: Path
    sha256: bytes


def write_bundle(
    folder: Path,
    *,
    server: str,
    client: str,
    config: Mapping[str, Setting],
    publisher: str = "suture",
    version: str = "0.1.0",
) -> None:
    """Write the app folder. The same arguments give the same bytes.

    Args:
        folder: Does not exist yet or is empty; its name becomes the app's: up to 32 letters, digits and hyphens.
        server: ServerApp as ``module:attribute``, importable where the SuperLink runs.
        client: ClientApp as ``module:attribute``, importable where a SuperNode runs.
        config: Every key that a run may set, with its default. Flower refuses others when a run starts.
        publisher: Flower's name space of the app, up to 32 letters, digits and hyphens.
        version: Three numbers with dots.

    Raises:
        BadBundle: A name that Flower refuses, or the folder is not empty.
        BadReference: ``server`` or ``client`` has another form.
        BadSetting: A key or default that Flower cannot carry.
    """
    for text in (folder.name, publisher):
        if not _NAME.fullmatch(text):
            raise BadBundle(
                f"Flower names apps with up to 32 letters, digits and inner hyphens; {text!r} is not such."
            )
    if not _VERSION.fullmatch(version):
        raise BadBundle(f"The version of an app is three numbers with dots; {version!r} is not.")
    document = _CONFIG.format(
        name=encode_value(folder.name),
        version=encode_value(version),
        publisher=encode_value(publisher),
        package=_PACKAGE,
        settings=encode_settings(config),
    )
    modules = {"server": _module("ServerApp", server), "client": _module("ClientApp", client)}
    package = folder / _PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    if any(package.iterdir()) or len(list(folder.iterdir())) > 1:
        raise BadBundle(f"The folder {folder} is not empty.", fix="Remove it, or choose another.")
    (folder / "pyproject.toml").write_text(document, "utf-8")
    (package / "__init__.py").write_text('"""The apps of one Suture run."""\n', "utf-8")
    for name, text in modules.items():
        (package / f"{name}.py").write_text(text, "utf-8")


def build_bundle(folder: Path) -> Bundle:
    """Build the bundle of the app in ``folder`` with Flower's own builder, next to the folder.

    The result depends on nothing but the files; a bundle that is already there is replaced.

    Raises:
        BadBundle: Flower refuses the app; the message holds its reason.
        VerificationError: Our own reading of the folder gives another digest than Flower's builder: this release of
            Flower has another format, and nodes could not check what they run.
    """
    try:
        content = flower_private.build_fab(folder)
    except (ValueError, OSError) as error:
        raise BadBundle(f"Flower refuses the app in {folder}: {error}") from error
    bundle = Bundle(folder.parent / f"{folder.name}.fab", hashlib.sha256(content).digest())
    with tempfile.TemporaryDirectory() as installed, zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(installed)  # our own bundle, built a line above from plain relative names
        verify_installed(Path(installed), bundle.sha256)
    bundle.path.write_bytes(content)
    return bundle


def _module(part: str, reference: str) -> str:
    module, attribute = split(reference)
    return _MODULE.format(part=part, module=module, attribute=attribute)
