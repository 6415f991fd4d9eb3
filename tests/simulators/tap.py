"""Notes what must never lie on a disk in the clear, at the moment it is made, so that a test can look for it.

A line of the file is what it is and up to three pieces of it in hexadecimal: from its beginning, its middle and its end. Nothing of
what the tapped code does is changed.

==========  ==================================================================================================
what        when it is noted
==========  ==================================================================================================
``update``  the glue hands a trained update over to its node: float32
``values``  the node has quantised a piece of it: the integers that are about to be encrypted
``seed``    the node drew the seed of a round secret
``secret``  the round secret itself, in the transform domain
==========  ==================================================================================================

In a process of the tests :func:`tap_this_process` does it; :func:`write_tap` makes every Python process of a deployment do it, by a
``sitecustomize`` in a folder that goes first on ``PYTHONPATH``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

PIECE = 24
"""Bytes of a piece that is looked for."""
TELLING = 8
"""Different bytes that a piece must have: others, zeros for instance, lie in many files."""
Note = Callable[[str, bytes], None]


def pieces(data: bytes) -> list[bytes]:
    """Return begin, middle and end of ``data``, as far as they are telling."""
    last = max(len(data) - PIECE, 0)
    found = [data[at : at + PIECE] for at in dict.fromkeys((0, last // 2, last))]
    return [one for one in found if len(set(one)) >= TELLING]


def noting(file: Path) -> Note:
    """Return what writes notes to the end of ``file``."""

    def note(what: str, data: bytes) -> None:
        with file.open("a", encoding="utf-8") as notes:
            notes.write(" ".join([what, *(one.hex() for one in pieces(bytes(data)))]) + "\n")

    return note


def read_tap(file: Path) -> dict[str, set[bytes]]:
    """Return what was noted, by what it is."""
    found: dict[str, set[bytes]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        what, *words = line.split()
        found.setdefault(what, set()).update(map(bytes.fromhex, words))
    return found


# ---------------------------------------------------------------------- what is watched


def _door(module: ModuleType, note: Note) -> None:
    call = module.SocketDoor.call

    def tapped(this: Any, method: Any, payload: bytes) -> Any:
        from clients.calls import ProtectCall

        if method is module.Method.PROTECT:
            note("update", ProtectCall.decode(payload).update)
        return call(this, method, payload)

    module.SocketDoor.call = tapped  # type: ignore[attr-defined]


def _secret(module: ModuleType, note: Note) -> None:
    made = module.RoundSecret.__init__

    def tapped(this: Any, params: Any, transformed: Any) -> None:
        note("secret", transformed.tobytes())
        made(this, params, transformed)

    module.RoundSecret.__init__ = tapped  # type: ignore[attr-defined]


def _encryption(module: ModuleType, note: Note) -> None:
    made, encrypt = module.ElementEncryptor.__init__, module.ElementEncryptor.encrypt

    def seeded(this: Any, layout: Any, header_digest: Any, seed: Any, first: int = 0) -> None:
        note("seed", seed.reveal())
        made(this, layout, header_digest, seed, first)

    def encrypted(this: Any, values: Any, out: Any) -> None:
        note("values", values.tobytes())
        encrypt(this, values, out)

    module.ElementEncryptor.__init__ = seeded  # type: ignore[attr-defined]
    module.ElementEncryptor.encrypt = encrypted  # type: ignore[attr-defined]


WATCHED: dict[str, Callable[[ModuleType, Note], None]] = {
    "clients.door": _door,
    "fl_core.secagg.round_secret": _secret,
    "fl_core.secagg.encrypt": _encryption,
}


def tap_this_process(file: Path) -> None:
    """Have this process note everything in ``file``."""
    for name, watch in WATCHED.items():
        watch(importlib.import_module(name), noting(file))


_PROGRAM = """
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec


class Watch(MetaPathFinder):
    wanted = {names!r}

    def find_spec(self, name, path, target=None):
        if name not in self.wanted:
            return None
        self.wanted.remove(name)
        spec = find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            from pathlib import Path

            from tests.simulators.tap import WATCHED, noting

            load(module)
            WATCHED[name](module, noting(Path({tap!r})))

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Watch())
"""


def write_tap(folder: Path, tap: Path) -> Path:
    """Write the program into ``folder`` and return the folder, for ``PYTHONPATH``; notes go into the file ``tap``."""
    folder.mkdir()
    tap.touch()
    (folder / "sitecustomize.py").write_text(_PROGRAM.format(tap=str(tap.resolve()), names=set(WATCHED)))
    return folder
