"""A ledger seen through a command line: opened for reading, with names for people, and answers as text or JSON."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import typer
from eth_utils.address import is_checksum_address

from fl_core.errors import InputError
from ledger.address import LedgerAddress, OpenLedger, names_around, open_ledger
from ledger.records import ADDRESS_SIZE, EMPTY_ADDRESS, WORD_SIZE, Role, Run
from suture_fl.report import one_line

_ADDRESS = re.compile(r"0x|[0-9a-f]{40}$", re.IGNORECASE)
LEAST_DIGITS = 4
"""Fewest hexadecimal digits that name a run or a proposal for short."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command says.

    Attributes:
        data: For programs; prints as one JSON object.
        lines: For people.
    """

    data: Mapping[str, Any]
    lines: Sequence[str]


def show(answer: Answer, *, as_json: bool) -> None:
    """Print an answer on the standard output."""
    if as_json:
        typer.echo(json.dumps(answer.data))
    else:
        for line in answer.lines:
            typer.echo(one_line(line))


class Window:
    """An open ledger and how its answers are shown.

    Args:
        ledger: The ledger.
        as_json: Answers are JSON.
    """

    def __init__(self, ledger: OpenLedger, *, as_json: bool) -> None:
        self.address = ledger.address
        self.connection = ledger.connection
        self.reader = ledger.reader
        self.as_json = as_json
        self.names = names_around(ledger.address)
        self._times: dict[int, str] = {}

    # ---------------------------------------------------------------- saying
    def show(self, answer: Answer) -> None:
        """Print an answer on the standard output."""
        show(answer, as_json=self.as_json)

    def name(self, account: bytes) -> str:
        """Return an account for people: its address, and its name where there is one."""
        if account == EMPTY_ADDRESS:
            return "nobody"
        named = self.names.get(account)
        return f"0x{account.hex()}" + (f" ({named})" if named else "")

    def now(self) -> int:
        """Return the time that the next block can have: the clock's, but never before the chain's own."""
        return max(int(time.time()), self.reader.head().timestamp + 1)

    def time(self, block: int) -> str:
        """Return when a block was made, in UTC."""
        if block not in self._times:
            seconds = self.connection.block_time(block)
            self._times[block] = "unknown" if seconds is None else utc(seconds)
        return self._times[block]

    # ---------------------------------------------------------------- understanding
    def account_of(self, text: str) -> bytes:
        """Return the account that a person names: an address, or a name of the public folder.

        Nobody checks those names. So what looks like an address is one, whatever anybody calls itself, and a name is of one account.

        Raises:
            InputError: There is none, there are several, or the address has a typing mistake.
        """
        found = [account for account, name in self.names.items() if text.casefold() == name.casefold()]
        if not found or _ADDRESS.match(text):
            return read_account(text)
        if len(found) > 1:
            raise InputError(f"{len(found)} accounts are called {text!r}.", fix="Name it by its address.")
        return found[0]

    def run(self, text: str | None) -> Run:
        """Return the run that a person names by its id or the beginning of it; without a name, the only one.

        Raises:
            InputError: There is none, or there are several.
        """
        ids = [bytes(event.values["run"]) for event in self.reader.events("RunCreated")]
        return self.reader.run(named(text, ids, "run", "suture run list"))


def named(text: str | None, ids: Sequence[bytes], what: str, listing: str) -> bytes:
    """Return the id that a person gives by its beginning; without one, the only id.

    Raises:
        InputError: There is none, or there are several.
    """
    fix = f"Name it by its id; `{listing}` shows them."
    if not ids:
        raise InputError(
            f"There is no {what} on this ledger.",
            fix=f"`{listing}` shows them once there are; a node of the chain that is behind takes a moment more.",
        )
    if text is None:
        if len(ids) == 1:
            return ids[0]
        raise InputError(f"There are {len(ids)} {what}s on this ledger; which one?", fix=fix)
    digits = text.lower().removeprefix("0x")
    if not LEAST_DIGITS <= len(digits) <= 2 * WORD_SIZE or set(digits) - set("0123456789abcdef"):
        raise InputError(
            f"{text!r} is no id of a {what}: at least {LEAST_DIGITS} hexadecimal digits.", fix=fix
        )
    found = [one for one in ids if one.hex().startswith(digits)]
    if len(found) != 1:
        count = "No" if not found else len(found)
        raise InputError(
            f"{count} {what}{'s' if found else ''} of this ledger begin{'' if found else 's'} with {digits}.",
            fix=fix,
        )
    return found[0]


def read_account(text: str) -> bytes:
    """Return the 20 bytes of an address; a mixed-case one must have the right checksum (EIP-55).

    Raises:
        InputError: It is no address.
    """
    digits = text.removeprefix("0x").removeprefix("0X")
    try:
        account = bytes.fromhex(digits)
    except ValueError:
        account = b""
    if len(account) != ADDRESS_SIZE or len(digits) != 2 * ADDRESS_SIZE:
        raise InputError(f"{text!r} is no account.", fix="Give 0x and 40 hexadecimal digits.")
    mixed = digits not in (digits.lower(), digits.upper())
    if mixed and not is_checksum_address(f"0x{digits}"):
        raise InputError(
            f"{text} has a typing mistake: its checksum is wrong.", fix="Copy the address again."
        )
    return account


def role_names(roles: Role) -> list[str]:
    """Return roles in words."""
    return [role.name.lower() for role in Role if role in roles and role.name]


def read_roles(text: str) -> Role:
    """Return the roles that a person names, separated by commas.

    Raises:
        InputError: One of them is none.
    """
    roles = Role(0)
    for word in text.split(","):
        try:
            roles |= Role[word.strip().upper()]
        except KeyError:
            known = ", ".join(role_names(Role(15)))
            raise InputError(f"{word.strip()!r} is no role.", fix=f"Roles are {known}.") from None
    return roles


def utc(seconds: int) -> str:
    """Return a Unix time as ``2026-11-26 16:40:07Z``."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # a chain may claim any number
        return str(seconds)


def duration(seconds: int) -> str:
    """Return a length of time in the largest units that fit: "7 days", "1 day 2 hours", "0 seconds"."""
    parts = []
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "0 seconds"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows, the first one the heads, as lines with aligned columns."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def facts(values: Mapping[str, object]) -> list[str]:
    """Return name and value pairs as lines."""
    width = max(map(len, values))
    return [f"{name.ljust(width)}  {value}" for name, value in values.items()]


W = TypeVar("W", bound=Window)


@contextmanager
def look(address: LedgerAddress, kind: type[W], *, as_json: bool) -> Iterator[W]:
    """Open a ledger for reading.

    Args:
        address: Which one.
        kind: Class of the window.
        as_json: Answers are JSON.

    Raises:
        InputError: There is no such file.
        LedgerError: It is another chain or contract, damaged or does not answer.
    """
    ledger = open_ledger(address)
    try:
        yield kind(ledger, as_json=as_json)
    finally:
        ledger.close()
