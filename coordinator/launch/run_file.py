"""The run file: everything that a researcher decides about a run, read from TOML with errors that name file, line and fix.

Documented field by field in ``docs/reference/run-file.md``; a test compares :data:`FIELDS` with that page. Paths are relative to the
file. Nothing is opened here but the file itself: what the ledger and the SuperLink say comes later.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlsplit

from coordinator.launch.toml_lines import line_of
from fl_core.errors import InputError
from fl_core.lattice.parameters import PACKINGS, PARAMETER_SETS
from fl_core.protocol.header_check import MAX_CLIP_GROWTH
from fl_core.protocol.rules import LEAST_INCLUDED
from fl_core.protocol.terms import MAX_PURPOSE, MAX_TITLE
from fl_core.quantise.law import MAX_CLIP, MIN_CLIP
from fl_core.secagg.layout import valid_layouts
from ledger.files import read_plain
from ledger.rewards import RewardPolicy
from ledger.views.window import read_account

MAX_RUN_FILE = 1 << 20  # bytes
MAX_DEADLINE_S = 365 * 24 * 3600
"""Longest that a step of a round waits."""
SETTINGS = "task.settings"
NAMES = "members.names"
OPEN_TABLES = {SETTINGS: (int, float, str), NAMES: (str,)}
"""Tables whose keys are the researcher's own, and the types of their values."""

Check = Callable[[Any], str | None]
"""Returns what is wrong with a value, or None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key of the run file.

    Attributes:
        kind: Its type.
        default: Its default; None where it must be given.
        check: Says what is wrong with a value.
    """

    kind: type
    default: Any = None
    check: Check = lambda value: None


def _between(low: float, high: float) -> Check:
    return lambda v: None if low <= v <= high else f"is {low:g} to {high:g}, not {v}"


def _deadline(value: float) -> str | None:
    return (
        None
        if 1 <= value <= MAX_DEADLINE_S
        else f"is at least 1 and at most {MAX_DEADLINE_S} (a year), not {value}"
    )


def _text(value: str) -> str | None:
    if not value.isprintable():
        return "has a line break or another character that is not printed"
    return None if value.strip() else "is empty"


def _words(most: int) -> Check:
    return lambda v: f"is at most {most} characters long, not {len(v)}" if len(v) > most else _text(v)


def _one_of(known: Mapping[str, object] | set[str]) -> Check:
    return lambda v: None if v in known else f"is one of {', '.join(sorted(known))}, not {v!r}"


def _account(value: str) -> str | None:
    parts = urlsplit(value)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "file" and set(query) == {"passphrase-file"}:
        return None
    if parts.scheme == "program" and parts.path and not parts.query:
        return None
    return "is file:KEYSTORE?passphrase-file=FILE or program:FILE: the run goes on when nobody is there to type a passphrase"


def _address(value: str) -> str | None:
    if not value:
        return None
    try:
        read_account(value)
    except InputError as error:
        return f"is an account: {error.message}"
    return None


FIELDS: Mapping[str, Field] = {
    "title": Field(kind=str, check=_words(MAX_TITLE)),
    "purpose": Field(kind=str, check=_words(MAX_PURPOSE)),
    "rounds": Field(kind=int, check=_between(1, 100_000)),
    "folder": Field(kind=str, default="runs/NAME", check=_text),
    "curves": Field(kind=str, default=""),
    "ledger.file": Field(kind=str, check=_text),
    "ledger.researcher": Field(kind=str, check=_account),
    "ledger.coordinator": Field(kind=str, check=_account),
    "task.name": Field(kind=str, check=_text),
    "task.initial": Field(kind=str, default=""),
    "members.consents": Field(kind=int, check=_between(LEAST_INCLUDED, 10_000)),
    "members.least": Field(kind=int, default=LEAST_INCLUDED, check=_between(LEAST_INCLUDED, 10_000)),
    "protection.parameter_set": Field(kind=str, default="P4096", check=_one_of(PARAMETER_SETS)),
    "protection.packing": Field(kind=str, default="PACK15", check=_one_of(PACKINGS)),
    "protection.weight_cap": Field(kind=int, default=1000, check=_between(1, 1_000_000)),
    "protection.initial_clip": Field(kind=float, default=1.0, check=_between(MIN_CLIP, MAX_CLIP)),
    "protection.clip_floor": Field(kind=float, default=0.25, check=_between(MIN_CLIP, MAX_CLIP)),
    "protection.clip_factor": Field(kind=float, default=6.0, check=_between(MIN_CLIP, MAX_CLIP)),
    "protection.blame_opening": Field(kind=bool, default=True),
    "rewards.token": Field(kind=str, default="", check=_address),
    "rewards.per_round": Field(kind=str, default="0", check=_text),
    "rewards.policy": Field(kind=str, default="equal", check=_one_of({p.value for p in RewardPolicy})),
    "rewards.closing_delay_days": Field(kind=int, default=7, check=_between(0, 366)),
    "privacy.budget": Field(kind=int, default=0, check=_between(0, 2**53)),
    "superlink.folder": Field(kind=str, default="superlink", check=_text),
    "superlink.relay": Field(kind=bool, default=False),
    "superlink.train_deadline": Field(kind=float, default=3600.0, check=_deadline),
    "superlink.reveal_deadline": Field(kind=float, default=600.0, check=_deadline),
}
"""Key, with its table, to what it may be."""

KINDS: Mapping[type, str] = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}
_TABLES = {name.rpartition(".")[0] for name in FIELDS} | set(OPEN_TABLES)


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run file that was read; every value is there and of its type.

    Attributes:
        path: The file.
        text: Its content.
        values: A value for each of :data:`FIELDS`.
        settings: Settings of the training task.
        names: Account -> name, for people.
    """

    path: Path
    text: str
    values: Mapping[str, Any]
    settings: Mapping[str, int | float | str]
    names: Mapping[bytes, str]

    def place(self, key: str) -> Path:
        """Return the absolute path that a key names."""
        return (self.path.parent / str(self.values[key])).resolve()

    def wrong(self, key: str, problem: str, fix: str) -> NoReturn:
        """Raise the error about a key, with its line."""
        raise _error(self.path, self.text, key, problem, fix)

    def uri(self, key: str) -> str:
        """Return an account's URI with absolute paths."""
        parts = urlsplit(self.values[key])
        file = f"{parts.scheme}:{(self.path.parent / parts.path).resolve()}"
        if parts.scheme == "program":
            return file
        passphrase = self.path.parent / dict(parse_qsl(parts.query))["passphrase-file"]
        return f"{file}?passphrase-file={passphrase.resolve()}"


def read_run_file(path: Path) -> RunFile:
    """Read a run file.

    Raises:
        InputError: It cannot be read or something in it is wrong; names the line and the fix.
    """
    try:
        text = read_plain(path, MAX_RUN_FILE).decode()
        document = tomllib.loads(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).", fix="Name a run file.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text.", fix="Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML ({error}).", fix="Mend that line.") from error
    except ValueError as error:  # Python's own limit for the digits of a whole number
        raise InputError(f"{path} has a number that is too long ({error}).", fix="Shorten it.") from error
    found = dict(_flat(path, text, document))
    values = {key: _value(path, text, key, field, found.get(key)) for key, field in FIELDS.items()}
    settings = {k.removeprefix(f"{SETTINGS}."): v for k, v in found.items() if k.startswith(f"{SETTINGS}.")}
    named = {k.removeprefix(f"{NAMES}."): v for k, v in found.items() if k.startswith(f"{NAMES}.")}
    if values["folder"] == FIELDS["folder"].default:
        values["folder"] = f"runs/{path.stem}"
    for account in named:
        if (problem := _address(account)) is not None:
            raise _error(path, text, f"{NAMES}.{account}", problem, "Give 0x and 40 hexadecimal digits.")
    names = {read_account(account): name for account, name in named.items()}
    file = RunFile(path, text, values, settings, names)
    if values["members.consents"] < values["members.least"]:
        file.wrong("members.consents", "is less than 'least'", "Wait for at least as many as a round needs.")
    if (place := file.place("folder")) == place.parent:
        file.wrong(
            "folder", "is the whole file system", "Name a folder for this run alone, such as runs/heart."
        )
    floor, highest = values["protection.clip_floor"], values["protection.initial_clip"] * MAX_CLIP_GROWTH
    if floor > highest:
        problem = f"is more than {MAX_CLIP_GROWTH:g} times 'initial_clip': holders refuse such rounds"
        file.wrong("protection.clip_floor", problem, "Choose a smaller one.")
    _check_layout(file)
    if values["rewards.per_round"] != "0" and not values["rewards.token"]:
        file.wrong(
            "rewards.per_round", "promises rewards of no token", "Add a line `token = ...` under [rewards]."
        )
    return file


def _check_layout(file: RunFile) -> None:
    """Check that the packing fits the parameter set and sums as many clients as are waited for."""
    params, packing = file.values["protection.parameter_set"], file.values["protection.packing"]
    fix = "suture parameters shows what fits together."
    found = [one for one in valid_layouts(1) if (one.params.name, one.packing.name) == (params, packing)]
    if not found:
        file.wrong("protection.packing", f"does not fit the parameter set {params}", fix)
    most = found[0].packing.max_parties
    if file.values["members.consents"] > most:
        file.wrong("members.consents", f"is more than the {most} clients that {packing} can sum", fix)


def _flat(path: Path, text: str, document: Mapping[str, Any], table: str = "") -> list[tuple[str, Any]]:
    """Return every key with its table; refuse those that mean nothing."""
    found: list[tuple[str, Any]] = []
    for name, value in document.items():
        key = f"{table}.{name}" if table else name
        if table in OPEN_TABLES:
            if type(value) not in OPEN_TABLES[table]:
                raise _error(path, text, key, "is of a type that it cannot have", "Give a text or a number.")
            found.append((key, value))
        elif "." in name or not name or (key not in FIELDS and key not in _TABLES):
            known = ", ".join(_names_in(table)) or "no keys"
            fix = f"Take it out, or correct its name; there are: {known}."
            raise _error(path, text, key, "means nothing here", fix)
        elif isinstance(value, dict) and key in _TABLES:
            found += _flat(path, text, value, key)
        elif key in _TABLES:
            raise _error(path, text, key, "is a table", f"Write [{key}] once, and its keys below it.")
        else:
            found.append((key, value))
    return found


def _names_in(table: str) -> list[str]:
    """Return what may stand in a table: its keys, then the tables below it."""
    keys = sorted(key for key in FIELDS if key.rpartition(".")[0] == table)
    return keys + sorted(f"[{one}]" for one in _TABLES if one and one.rpartition(".")[0] == table)


def _value(path: Path, text: str, key: str, field: Field, value: Any) -> Any:  # noqa: ANN401 - any type of TOML
    if value is None:
        if field.default is None:
            table, _, name = key.rpartition(".")
            where = f" under [{table}]" if table else " at the top"
            fix = f"Add a line `{name} = ...`{where}: {KINDS[field.kind]}."
            raise InputError(f"{path}, line {line_of(text, key)}: {key!r} is missing.", fix=fix)
        return field.default
    if type(value) not in {field.kind, int if field.kind is float else field.kind}:
        raise _error(path, text, key, f"is {KINDS[field.kind]}", "Mend that line.")
    if (problem := field.check(value)) is not None:
        raise _error(path, text, key, problem, "Mend that line.")
    return field.kind(value)


def _error(path: Path, text: str, key: str, problem: str, fix: str) -> InputError:
    return InputError(f"{path}, line {line_of(text, key)}: {key!r} {problem.rstrip('.')}.", fix=fix)
