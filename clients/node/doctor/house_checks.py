"""Checks 5 to 8, 12 and 14: what lies in the node's folder."""

from __future__ import annotations

import shlex
import sqlite3
import stat
from collections.abc import Collection, Mapping
from contextlib import closing
from itertools import count
from pathlib import Path

from clients.node.accepted import accepted_terms
from clients.node.data_sets import DEFAULT, Stored, check, erased, stored
from clients.node.doctor.patient import Finding, Patient, failure, ok, warning
from clients.node.doctor.pledge_check import changed_since
from clients.node.house import load_name, load_policy, open_account, open_transport
from clients.node.key_files import passphrase_file
from clients.node.logbook import account_of, torn_words
from clients.node.logbook_check import look_at_logbook
from clients.node.pledges import pledged
from clients.node.policy import Policy
from clients.node.policy_file import data_rule, doubts
from clients.node.signed_manifest import NAME
from clients.training.tasks import check_data as try_reader
from clients.training.tasks import task_names
from fl_core.errors import SutureError
from fl_core.lattice.parameters import PARAMETER_SETS

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PASS = stat.S_IXGRP | stat.S_IXOTH
_PRIVATE = ("keys", "data", "prekeys", "ckks", "node.toml", "register.sqlite", "outbox.sqlite")


def check_folder(patient: Patient) -> list[Finding]:
    """Check who owns the folder and who can read what is private in it."""
    folder, user, found = patient.folder, patient.machine.user(), []
    if not folder.is_dir():
        return [failure(f"There is no folder {folder}.", "Make one: suture-node init")]
    places = [folder, *(folder / name for name in _PRIVATE), *(folder / "data").glob("*/salt")]
    for path in places:
        if not path.exists():
            continue
        status = path.stat()
        if path.is_symlink():
            found.append(warning(f"{path} is a link.", "Keep what is private in the folder itself."))
        if status.st_uid != user:
            found.append(
                failure(
                    f"{path} belongs to the user {status.st_uid}, the node runs as {user}.",
                    f"chown -R {user} {folder}",
                )
            )
        if status.st_mode & _allowed_to_nobody(folder, path):
            found.append(failure(f"Others can reach {path}.", f"chmod go= {path}"))
    return found or [ok("Only its owner can reach the folder.")]


def _allowed_to_nobody(folder: Path, path: Path) -> int:
    """Return the rights of others that a path may not give.

    Others may pass through the folder, and the glue's group may read the records, as :mod:`clients.node.separation` sets
    it; what is inside a folder that others cannot pass is out of their reach, whatever its own rights say.
    """
    if path == folder:
        return _OTHERS & ~_PASS
    if not folder.stat().st_mode & _PASS:
        return 0
    return stat.S_IRWXO | stat.S_IWGRP if path.name == "data" else _OTHERS


def check_keys(patient: Patient) -> list[Finding]:
    """Check that the keystores open with the passphrase, which nobody else may read: commands that send refuse one that others can."""
    try:
        source = passphrase_file(patient.folder)
        if source is not None and source.stat().st_mode & _OTHERS:
            return [
                failure(
                    f"Others can read the passphrase file {source}.", f"chmod 600 {shlex.quote(str(source))}"
                )
            ]
    except OSError:
        pass  # who opens it says what is wrong
    try:
        account = open_account(patient.folder)
        open_transport(patient.folder)
        named = account_of(patient.folder)
    except SutureError as error:
        return [
            failure(f"A key does not open: {error.message}", error.fix or "Restore keys/ from your copy.")
        ]
    if named != account.address:
        return [
            failure("keys/account.json names another account than its key.", "Restore it from your copy.")
        ]
    return [ok(f"The keys open; the account is 0x{account.address.hex()}.")]


def check_data(patient: Patient) -> list[Finding]:
    """Check that the data sets which the policy names are there, are what was committed to, and can be read by their tasks."""
    try:
        policy, sets = load_policy(patient.folder), {one.name: one for one in stored(patient.folder)}
        holder, gone = load_name(patient.folder), erased(patient.folder)
    except SutureError as error:
        return [failure(error.message, error.fix or "See the check of the policy.")]
    found: list[Finding] = []
    pledges, here = pledged(patient.folder), set()
    for task in policy.tasks:
        name = policy.data_set(task)
        if name not in sets:
            found.append(
                failure(
                    f"The task {task!r} uses the data set {name!r}, which is not here.",
                    _replace(patient, policy, task, sets),
                )
            )
            continue
        finding, commitment = _look_at(patient, task, sets[name], holder, pledges.values())
        found.append(finding)
        here.add(commitment)
    if b"" not in here:  # what cannot be read is told already
        found += changed_since(patient, pledges, here, gone)
    return found or [warning("No task may use any data.", "See tasks in [policy].")]


def _replace(patient: Patient, policy: Policy, task: str, sets: Mapping[str, Stored]) -> str:
    """Return how a task gets data again: a file under the name in the policy or, if no new data set can have that name, under another."""
    name, folder = policy.data_set(task), shlex.quote(str(patient.folder))

    def add(new: str) -> str:
        return f"suture-node data add {folder} {new} --records FILE.csv --task {shlex.quote(task)}"

    def use(new: str) -> str:
        return f"{patient.folder / 'node.toml'} needs in [policy], {data_rule(policy, task, new)}"

    if name != DEFAULT and NAME.fullmatch(name):
        return add(name)
    others = [one.name for one in sets.values() if one.manifest is not None and one.manifest.task == task]
    if others:
        return use(others[0])
    free = next(one for n in count(2) if (one := f"{DEFAULT}-{n}") not in sets)
    return f"{add(free)}; then {use(free)}"


def _look_at(
    patient: Patient, task: str, one: Stored, holder: str, pledges: Collection[bytes]
) -> tuple[Finding, bytes]:
    """Check a data set against its manifest, and have the task's own reader read it as in training; return also its commitment."""
    try:
        manifest = check(one)
        if one.manifest is not None and one.manifest.holder != account_of(patient.folder).hex():
            return failure(
                f"The manifest of {one.name!r} is of another holder.", "Add the data set again."
            ), b""
    except SutureError as error:
        return failure(f"{task}: {error.message}", error.fix or "Add the data set again."), b""
    known = one.manifest is not None or manifest.commitment in pledges
    whole = f"{task}: {one.name}, {manifest.records} records" + ", as committed to" * known
    if task not in task_names():
        return warning(
            f"{whole}; the task is not installed here, so no run can use it.",
            f"Take {task!r} out of tasks in [policy], or install a version of Suture that has it.",
        ), manifest.commitment
    try:
        try_reader(task, one.path, holder)
    except SutureError as error:
        return failure(
            f"The task {task!r} cannot train on the data set {one.name!r}: {error.message}",
            f"{error.fix} Then add the mended file as a new data set: "
            f"suture-node data add {shlex.quote(str(patient.folder))} NAME --records FILE.csv --task {shlex.quote(task)}",
        ), manifest.commitment
    return ok(f"{whole}; the task can read them."), manifest.commitment


def check_policy(patient: Patient) -> list[Finding]:
    """Check that the policy can be read, contradicts nothing and does not allow more than a person would think."""
    try:
        policy: Policy = load_policy(patient.folder)
        terms = accepted_terms(patient.folder)
    except SutureError as error:
        return [failure(error.message, error.fix or "See docs/reference/policy.md.")]
    found = doubts(policy, now=patient.now, known_tasks=task_names(), known_sets=frozenset(PARAMETER_SETS))
    gone = bool(policy.expires) and policy.expires <= patient.now
    mend = "Look at [policy] in node.toml; docs/reference/policy.md."
    findings = [
        failure(f"{text}.", mend) if gone and "expired" in text else warning(f"{text}.", mend)
        for text in found
    ]
    return findings or [ok(f"The policy is sound; {len(terms)} terms are accepted.")]


def check_register(patient: Patient) -> list[Finding]:
    """Check that the logbook is whole, and that the register knows everything that left."""
    looked = look_at_logbook(patient.folder)
    found = [failure(error.message, error.fix) for error in looked.errors]
    if told := looked.rolled_back:
        found.append(
            failure(
                f"The register was rolled back: {told[0]}"
                + (f" and {len(told) - 1} more" * (len(told) > 1))
                + ".",
                "Do not serve. Never restore register.sqlite: register new keys and begin with an empty folder.",
            )
        )
    if lines := looked.gateway:
        found.append(
            failure(f"The gateway's log was altered: {lines[0]}.", "Find out who changed outgoing.jsonl.")
        )
    if looked.torn:
        words = torn_words(looked.torn)
        found.append(warning(f"{words[0].upper()}{words[1:]}.", "Nothing, after a crash or a loss of power."))
    return found or [
        ok(f"The logbook is whole ({len(looked.entries)} entries), and the register bears it out.")
    ]


def check_leftovers(patient: Patient) -> list[Finding]:
    """Look for what a crash leaves: unfinished transactions, half-made files, databases that were not closed."""
    folder, found = patient.folder, []
    for path in sorted(folder.rglob(".*")):
        if path.is_file():
            found.append(warning(f"{path} was left by a program that was killed.", f"rm {path}"))
    for home in sorted((folder / "data").glob("*/")):
        if home.is_dir() and not (home / "manifest.json").exists():
            found.append(
                warning(
                    f"{home} is a data set that was never finished or never wholly erased.", f"rm -r {home}"
                )
            )
    pending = _pending(folder / "outbox.sqlite")
    if pending:
        found.append(
            warning(
                f"{len(pending)} signed transactions were never seen through: {', '.join(pending[:3])}.",
                "Give the same command again; it goes on where it stopped.",
            )
        )
    for path in sorted(folder.glob("*.sqlite-wal")):
        if path.stat().st_size:
            found.append(
                ok(f"{path.name} is there: a node runs on this folder, or was killed; serve tidies up.")
            )
    return found or [ok("Nothing was left lying about.")]


def _pending(path: Path) -> list[str]:
    """Return the intents of transactions that are signed and not seen through."""
    if not path.exists():
        return []
    open_now = path.with_name(path.name + "-wal").exists()
    uri = f"{path.resolve().as_uri()}?" + ("mode=ro" if open_now else "immutable=1")
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            rows = database.execute("SELECT intent FROM entry WHERE state='signed' ORDER BY nonce")
            return [str(intent) for (intent,) in rows]
    except sqlite3.DatabaseError:
        return ["(outbox.sqlite cannot be read)"]
