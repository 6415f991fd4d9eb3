"""Checks 1 to 4: the software, names that clash, the clock, the disk."""

from __future__ import annotations

import importlib.metadata
import ssl
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import TypeVar
from urllib.error import URLError
from urllib.request import Request, urlopen

from packaging.requirements import Requirement

from clients.node.doctor.patient import DISTRIBUTION, Finding, Patient, failure, ok, warning
from clients.node.house import ledger_at_hand
from fl_core.errors import SutureError
from ledger.address import LedgerAddress, OpenLedger, open_ledger
from ledger.chain.http import shown
from ledger.records import Head
from suture_fl.start import PACKAGES
from suture_fl.unreachable import why

T = TypeVar("T")
PYTHONS = ((3, 11), (3, 13))
LEAST_FREE = 100 << 20  # bytes: below, the register cannot be relied on
GOOD_FREE = 2 << 30  # bytes: a model of 10^8 parameters, its frame, and some room
SLACK_S = 5
"""Clocks that differ by less than this are the same."""
MOST_SKEW_S = 60
"""A clock that is off by more makes deadlines and certificates wrong."""


def check_versions(patient: Patient) -> list[Finding]:
    """Check Python and every distribution that ours needs."""
    found, python = [], patient.machine.python
    if not PYTHONS[0] <= python <= PYTHONS[1]:
        found.append(
            failure(
                f"Python {python[0]}.{python[1]} is not one that Suture is tested with.",
                "Install Python 3.11, 3.12 or 3.13 and make a new environment.",
            )
        )
    names = []
    for text in patient.machine.requirements():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = patient.machine.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            found.append(failure(f"{requirement.name} is not installed.", f"pip install '{text}'"))
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            found.append(
                failure(
                    f"{requirement.name} {version} is installed, needed is {requirement.specifier}.",
                    f"pip install '{text}'",
                )
            )
        if requirement.name in ("flwr", "torch"):
            names.append(f"{requirement.name} {version}")
    return found or [ok(f"Python {python[0]}.{python[1]}, {', '.join(names)}; all requirements are met.")]


def check_names(patient: Patient) -> list[Finding]:
    """Check that no other distribution brings a package with a name of ours."""
    brought = patient.machine.packages()
    found = []
    for name in (*PACKAGES, "suture_fl"):
        others = sorted(set(brought.get(name, ())) - {DISTRIBUTION})
        if others:
            found.append(
                failure(
                    f"The package {name!r} is brought by {', '.join(others)}, too: which one is imported is chance.",
                    "Install Suture alone, in an environment of its own.",
                )
            )
    return found or [ok("No other distribution has packages of the same names.")]


def check_clock(patient: Patient) -> list[Finding]:
    """Compare the clock with the ledger's and, where it is known, with the coordinator's."""
    found: list[Finding] = []
    ledger = _quiet(lambda: ledger_at_hand(patient.folder))
    if isinstance(ledger, LedgerAddress):
        found.append(_compare_blocks(patient.now, ledger))
    relay = _quiet(lambda: patient.network.relay)
    if isinstance(relay, str) and relay.startswith(("https://", "http://")):
        found.append(_compare_date(patient, relay))
    return found or [
        warning("There is nothing to compare the clock with.", "Join a ledger; see its check below.")
    ]


def _compare_blocks(now: int, ledger: LedgerAddress) -> Finding:
    """Compare with the newest block, as far as its time is that of a clock."""
    try:
        opened = open_ledger(ledger)
        try:
            newest = opened.connection.head()
            told = newest.timestamp if ledger.path is None else _clock_of_writer(opened, newest, now)
        finally:
            opened.close()
    except (SutureError, OSError):
        return warning("The ledger does not tell its newest block.", "See the check of the ledger.")
    if told > now + MOST_SKEW_S:
        return failure(
            f"This clock is behind: a block of the ledger was made {told - now} s in the future. "
            "Deadlines of rounds are judged by it.",
            "Set the clock: timedatectl set-ntp true",
        )
    if told > now + SLACK_S:
        return warning(f"A block of the ledger was made {told - now} s in the future.", "Look at NTP.")
    if newest.timestamp > now + SLACK_S:
        return ok(
            f"Nothing tells that the clock is wrong. The ledger's newest block is dated {newest.timestamp - now} s ahead of it, since "
            "blocks of an embedded chain are a second apart also where many are made within one."
        )
    return ok(f"The ledger's newest block is {max(0, now - newest.timestamp)} s old.")


def _clock_of_writer(opened: OpenLedger, newest: Head, now: int) -> int:
    """Return the newest time at which a block of an embedded chain is known to have been made; one that is not after ``now`` may not be the newest.

    A block's time is its writer's clock, or a second after the block before where that is later (:mod:`ledger.chain.embedded.evm`).
    So only one that is more than a second after the block before, and block 0, tell the clock.
    """
    number, made = newest.number, newest.timestamp
    while number > 0 and made > now:
        before = opened.connection.block_time(number - 1)
        if before is None or made > before + 1:
            break
        number, made = number - 1, before
    return made


def _compare_date(patient: Patient, url: str) -> Finding:
    """Compare with the ``Date`` of an HTTP answer [RFC 9110 §6.6.1]."""
    place = shown(url)
    try:
        context = ssl.create_default_context(cafile=patient.network.ca or None)
    except OSError:
        return warning(
            f"{place} was not asked for the time: there is no CA.", "See the check of the partners."
        )
    try:
        request = Request(url, method="HEAD")  # noqa: S310 - the scheme was looked at
        with urlopen(request, timeout=patient.timeout_s, context=context) as answer:  # noqa: S310
            date = answer.headers.get("Date", "")
    except (URLError, OSError, ValueError, HTTPException) as error:
        date = getattr(error, "headers", None) and error.headers.get("Date", "")  # type: ignore[union-attr]
        if not date:
            return warning(
                f"{place} does not tell the time: {why(error)[0]}.", "See the check of the partners."
            )
    try:
        skew = int(parsedate_to_datetime(date).timestamp()) - patient.now
    except (TypeError, ValueError):
        return warning(f"{place} does not tell the time.", "Nothing, if the ledger's time is right.")
    if abs(skew) > MOST_SKEW_S:
        return failure(
            f"This clock and {place} differ by {abs(skew)} s.", "Set the clock: timedatectl set-ntp true"
        )
    return ok(f"This clock and {place} differ by {abs(skew)} s.")


def _quiet(ask: Callable[[], T]) -> T | None:
    """Return an answer, or None where another check says what is wrong."""
    try:
        return ask()
    except SutureError:
        return None


def check_disk(patient: Patient) -> list[Finding]:
    """Check that there is room for the register, the logbook and a frame, and a place for compiled code."""
    return [_room(patient), *_compiled(patient)]


def _room(patient: Patient) -> Finding:
    free = patient.machine.free(patient.folder)
    text = f"{free >> 20} MiB are free where the node's folder is."
    if free < LEAST_FREE:
        return failure(f"{text} Without room the node refuses to send.", "Make room on that disk.")
    if free < GOOD_FREE:
        return warning(f"{text} A large model needs more.", "Make room on that disk.")
    return ok(text)


def _compiled(patient: Patient) -> list[Finding]:
    if patient.machine.compiled_code() is not None:
        return []
    return [
        warning(
            "Neither the installation nor the user's cache folder can be written, so every process compiles anew "
            "and starts several seconds later.",
            "Set NUMBA_CACHE_DIR to a folder that only this user can write, also for the service.",
        )
    ]
