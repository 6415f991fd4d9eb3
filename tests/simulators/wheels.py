"""A folder of wheels for a build without a network: the installed distributions, packed again.

What pip unpacked is put back into a wheel, uncompressed: modules, metadata, programs, data. A pinned version that is not the installed one is
downloaded.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

MADE_BY_PIP = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
"""What an installation adds to a wheel's metadata."""


class NoWheel(Exception):
    """A wheel can neither be packed nor downloaded here."""


def pack(folder: Path, pins: Mapping[str, str], torch_index: str = "") -> None:
    """Fill ``folder`` with a wheel of every package.

    Args:
        folder: Existing folder.
        pins: Versions by name.
        torch_index: Where PyTorch's CPU build is, should the installed one be another.

    Raises:
        NoWheel: See the class.
    """
    missing = []
    for name, version in pins.items():
        found = _installed(name)
        if found is None or not _fits(found, version):
            missing.append((name, version))
        else:
            _pack(found, folder)
    for name, version in missing:
        index = ["--index-url", torch_index] if name == "torch" else []
        wanted = f"{name}=={version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run(
            [*command, *index, "-d", folder, wanted], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise NoWheel(f"{wanted} is not installed and cannot be downloaded: {done.stderr[-300:]}")


def _installed(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _fits(found: importlib.metadata.Distribution, version: str) -> bool:
    if found.version.partition("+")[0] != version:
        return False
    return not any(line.startswith("nvidia-") for line in found.requires or ())


def _pack(found: importlib.metadata.Distribution, folder: Path) -> None:
    assert found.files is not None
    [info] = {
        file.parts[0] for file in found.files if file.match("*.dist-info/METADATA") and len(file.parts) == 2
    }
    stem = info.removesuffix(".dist-info")
    made = {script.name for script in found.entry_points if script.group.endswith("_scripts")}
    rows = []
    with zipfile.ZipFile(folder / f"{stem}-{_tags(found)}.whl", "w") as wheel:
        for file in found.files:
            place = _place(file, info, made)
            if place is not None:
                wheel.write(str(found.locate_file(file)), place)
                rows.append(f'"{place}",,\n')
        wheel.writestr(f"{info}/RECORD", "".join(rows) + f"{info}/RECORD,,\n")


def _place(file: PurePosixPath, info: str, made: set[str]) -> str | None:
    """Return where an installed file is in its wheel; None for what pip writes itself."""
    if "__pycache__" in file.parts or (file.parent.name == info and file.name in MADE_BY_PIP):
        return None
    outside = [part for part in file.parts if part != ".."]
    if len(outside) == len(file.parts):
        return str(file)
    data = f"{info.removesuffix('.dist-info')}.data"
    if outside[0] == "bin":
        return None if outside[-1] in made else f"{data}/scripts/{outside[-1]}"
    return f"{data}/data/{'/'.join(outside)}"


def _tags(found: importlib.metadata.Distribution) -> str:
    lines = (found.read_text("WHEEL") or "").splitlines()
    tags = [line.split(": ")[1].split("-") for line in lines if line.startswith("Tag: ")]
    return "-".join(".".join(dict.fromkeys(tag[part] for tag in tags)) for part in range(3))
