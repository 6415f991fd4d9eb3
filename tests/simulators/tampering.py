"""Ways to change a public folder, for tests that the audit notices.

Three strengths: :func:`flip` changes a byte in place; :meth:`PublicRun.seal` afterwards makes the coordinator an
accomplice; :func:`substitute` does it well: a changed object is stored under its new name and the paper points to it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fl_core.errors import DecodeError
from ledger.archive import Archive
from ledger.audit.checks.table import CHECKS, LEDGER
from ledger.audit.evidence import Evidence
from ledger.audit.findings import Fault, Verdict
from ledger.audit.papers import open_folder, read_run
from ledger.audit.verify import perform
from ledger.papers import PublicFolder
from tests.simulators.public_folder import PublicRun

Json = dict[str, Any]
Key = str | tuple[str, str]
"""An entry of a paper: its name, or a name and the account (here: the holder's name) in it."""


def flip(path: Path, offset: int, mask: int = 1) -> None:
    """Change bits of one byte; a negative offset counts from the end."""
    data = bytearray(path.read_bytes())
    data[offset] ^= mask
    path.write_bytes(data)


def flipped(data: bytes, offset: int) -> bytes:
    """Return ``data`` with one bit changed."""
    changed = bytearray(data)
    changed[offset] ^= 1
    return bytes(changed)


def read_paper(run: PublicRun, number: int | None) -> Json:
    """Return the paper of a round, or of the run."""
    return dict(json.loads(_path(run.public, number).read_bytes()))


def write_paper(run: PublicRun, number: int | None, paper: Json) -> None:
    """Write a paper in its canonical form."""
    _path(run.public, number).write_bytes(json.dumps(paper, sort_keys=True, indent=1).encode() + b"\n")


def digest_of(run: PublicRun, number: int | None, key: Key) -> str:
    """Return the digest of an archived object that a paper names."""
    paper = read_paper(run, number)
    return str(paper[key] if isinstance(key, str) else paper[key[0]][run.holders[key[1]].hex()])


def object_name(digest: str) -> str:
    """Return where an archived object is, relative to the folder."""
    return f"archive/{digest[:2]}/{digest}"


def substitute(run: PublicRun, number: int | None, key: Key, change: Callable[[bytes], bytes]) -> str:
    """Replace an archived object by a changed one, in good form; return where the new one is."""
    old = run.path / object_name(digest_of(run, number, key))
    data = change(old.read_bytes())
    old.unlink()
    new = Archive(run.public.archive).put(data).hex()
    paper = read_paper(run, number)
    if isinstance(key, str):
        paper[key] = new
    else:
        paper[key[0]][run.holders[key[1]].hex()] = new
    write_paper(run, number, paper)
    return object_name(new)


def failures(run: PublicRun, sound: PublicRun, *, replayed: bool = True) -> dict[int, tuple[Fault, ...]]:
    """Make all checks and return the faults by number of the check.

    Re-execution takes most of an audit. It is left out here when the ledger is, byte for byte, that of the folder ``sound``,
    whose ledger is known to be sound, unless ``replayed`` says that it was not executed again before.
    """
    same = (
        replayed
        and _hash(run.public.chain) == _hash(sound.public.chain)
        and _about_ledger(run) == _about_ledger(sound)
    )
    checks = [check for check in CHECKS if check is not LEDGER] if same else CHECKS
    with Evidence(open_folder(run.path)) as evidence:
        outcomes = perform(evidence, checks)
    return {o.number: o.faults for o in outcomes if o.verdict is Verdict.FAIL}


def _about_ledger(run: PublicRun) -> object:
    try:
        facts = read_run(run.public)
    except DecodeError:
        return None
    return facts.chain_id, facts.contract, facts.token, facts.run


def _hash(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""


def _path(public: PublicFolder, number: int | None) -> Path:
    return public.run if number is None else public.round(number)
