"""The JSON papers of a public folder, as values whose form was checked.

Nobody vouches for these files: they say where to look. So every field is checked for its type and size before it is used,
and what it leads to is compared with the ledger by the checks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fl_core.codec import read_json
from fl_core.errors import DecodeError, InputError
from ledger.files import read_plain
from ledger.papers import PublicFolder, RoundPaper, RunPaper, SealPaper
from ledger.records import ADDRESS_SIZE, WORD_SIZE
from ledger.seal import read_seal, unhex

_V = TypeVar("_V")
MAX_CHAIN_ID = 2**53
_CONTAINERS = 64
"""Most lists and objects in the paper of a run of any version, to read its version from."""
_ROUND_FILE = re.compile(r"[0-9]{5,10}\.json")
_RUN_FORMAT = re.compile(r"suture-run-v([0-9]{1,6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """``run.json``. Digests are SHA-256 of archived objects; see :class:`ledger.papers.RunPaper`."""

    chain_id: int
    contract: bytes
    token: bytes
    run: bytes
    terms: bytes
    initial_model: bytes
    transport_keys: Mapping[bytes, bytes]
    names: Mapping[bytes, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFacts:
    """A round's paper. Digests are SHA-256 of archived objects; see :class:`ledger.papers.RoundPaper`.

    ``rewards`` is empty when the round paid nothing.
    """

    round: int
    header: bytes
    leaves: Mapping[bytes, bytes]
    included: tuple[bytes, ...]
    exclusions: bytes
    ciphertexts: Mapping[bytes, bytes]
    prekeys: Mapping[bytes, bytes]
    checks: Mapping[bytes, bytes]
    reveals: Mapping[bytes, bytes]
    blames: Mapping[bytes, bytes]
    blamed: tuple[bytes, ...]
    weights: Mapping[bytes, bytes]
    aggregate_key: bytes
    metrics: bytes
    rewards: bytes
    model: bytes


def open_folder(path: Path) -> PublicFolder:
    """Find the public folder that ``path`` is or contains.

    Raises:
        InputError: There is none, it cannot be read, or it is of a newer version.
    """
    fix = "Name the public folder of a run, or the folder that contains it as 'public'."
    try:
        if not path.exists():
            raise InputError(f"There is no folder {path}.", fix=fix)
        if not path.is_dir():
            raise InputError(f"{path} is not a folder.", fix=fix)
        for candidate in (path, path / "public"):
            public = PublicFolder(candidate)
            if public.run.exists() or public.seal.exists():
                next(candidate.iterdir())  # raises PermissionError where nothing can be listed
                _refuse_newer(public)
                return public
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}).", fix="Check its permissions."
        ) from error
    raise InputError(f"{path} is not a public folder: it has no run.json.", fix=fix)


def _refuse_newer(public: PublicFolder) -> None:
    """Refuse a folder whose papers are of a later version, unless its seal shows that they were altered."""
    try:
        data = read_plain(public.run, RunPaper.LIMIT)
        values = read_json(data, limit=RunPaper.LIMIT, what="run.json", containers=_CONTAINERS)
        found = values["format"] if isinstance(values, dict) else ""
        match = _RUN_FORMAT.fullmatch(found)
    except (OSError, DecodeError, TypeError, KeyError):
        return
    if match is None or found == RunPaper.FORMAT:
        return
    try:
        sealed: SealPaper | None = read_seal(public)
    except DecodeError:
        sealed = None
    entry = f"{len(data)} {hashlib.sha256(data).hexdigest()}"
    if sealed is None or sealed.files.get(public.run.name) == entry:
        raise InputError(
            f"{public.path} was written by another version of Suture ({found}, this one reads {RunPaper.FORMAT}).",
            fix="Use the version that it was written by, or a later one.",
        )


def read_run(public: PublicFolder) -> RunFacts:
    """Read ``run.json``.

    Raises:
        DecodeError: It is missing, damaged, or a field has the wrong form.
    """
    paper = RunPaper.decode(_read(public.run, RunPaper.LIMIT, parts=1))
    if type(paper.chain_id) is not int or not 1 <= paper.chain_id <= MAX_CHAIN_ID:
        raise DecodeError("the chain id is not a number of a chain")
    return RunFacts(
        chain_id=paper.chain_id,
        contract=unhex(paper.contract, ADDRESS_SIZE, "the contract"),
        token=unhex(paper.token, ADDRESS_SIZE, "the token"),
        run=unhex(paper.run, WORD_SIZE, "the run"),
        terms=unhex(paper.terms, WORD_SIZE, "the terms"),
        initial_model=unhex(paper.initial_model, WORD_SIZE, "the initial model"),
        transport_keys=_objects(paper.transport_keys, "transport key"),
        names=_accounts(paper.names, "name", _name),
    )


def read_round(public: PublicFolder, number: int) -> RoundFacts:
    """Read the paper of a round.

    Raises:
        DecodeError: It is missing, damaged, a field has the wrong form, or it is of another round.
    """
    paper = RoundPaper.decode(_read(public.round(number), RoundPaper.LIMIT, parts=2))
    if type(paper.round) is not int or paper.round != number:
        raise DecodeError("the paper is of another round than its file's name says")
    if not isinstance(paper.included, list):
        raise DecodeError("the included set is not a list")
    return RoundFacts(
        round=number,
        header=unhex(paper.header, WORD_SIZE, "the header"),
        leaves=_objects(paper.leaves, "leaf"),
        included=tuple(unhex(account, ADDRESS_SIZE, "an included account") for account in paper.included),
        exclusions=unhex(paper.exclusions, WORD_SIZE, "the exclusions"),
        ciphertexts=_objects(paper.ciphertexts, "ciphertext"),
        prekeys=_objects(paper.prekeys, "prekey"),
        checks=_objects(paper.checks, "check answer"),
        reveals=_objects(paper.reveals, "answer"),
        blames=_objects(paper.blames, "blame answer"),
        blamed=tuple(unhex(account, ADDRESS_SIZE, "a named account") for account in paper.blamed),
        weights=_objects(paper.weights, "opened weight"),
        aggregate_key=unhex(paper.aggregate_key, WORD_SIZE, "the aggregate key"),
        metrics=unhex(paper.metrics, WORD_SIZE, "the metrics"),
        rewards=unhex(paper.rewards, WORD_SIZE, "the rewards") if paper.rewards != "" else b"",
        model=unhex(paper.model, WORD_SIZE, "the model"),
    )


def round_files(public: PublicFolder) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the numbers of the rounds that have a paper, ascending, and the names of what else lies there."""
    numbers, strays, folder = [], [], public.rounds
    for path in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
        number = int(path.stem) if _ROUND_FILE.fullmatch(path.name) else 0
        if number and public.round(number) == path:
            numbers.append(number)
        else:
            strays.append(path.name)
    return tuple(numbers), tuple(strays)


def _read(path: Path, limit: int, *, parts: int) -> bytes:
    try:
        return read_plain(path, limit, parts=parts)
    except FileNotFoundError as error:
        raise DecodeError("the paper is missing") from error
    except OSError as error:
        raise DecodeError(f"the paper cannot be read ({error.strerror})") from error


def _objects(values: object, what: str) -> dict[bytes, bytes]:
    return _accounts(values, what, lambda value: unhex(value, WORD_SIZE, f"the digest of a {what}"))


def _accounts(values: object, what: str, read: Callable[[object], _V]) -> dict[bytes, _V]:
    """Read an object whose names are accounts, in ascending order."""
    if not isinstance(values, dict):
        raise DecodeError(f"the list of {what}s is not an object")
    found = {
        unhex(account, ADDRESS_SIZE, f"the account of a {what}"): read(v) for account, v in values.items()
    }
    return dict(sorted(found.items()))


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise DecodeError("a name is not text")
    return value
