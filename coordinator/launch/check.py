"""What can be known of a launch before anything is sent: who has the roles for it, whether the escrow is there, and what it costs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.demo.holders import TaskSetting
from coordinator.engines.control import FlowerControl
from coordinator.errors import NoSuperLink
from coordinator.launch.run_file import KINDS, SETTINGS, RunFile
from coordinator.launch.state import LaunchState
from fl_core.errors import InputError
from fl_core.protocol.terms import Terms
from ledger.desk.desk import Step, planned
from ledger.program_signer import ProgramSigner
from ledger.records import EMPTY_ADDRESS, Role
from ledger.rehearsal import Rehearsal
from ledger.signer import keystore_address, keystore_of, open_signer
from ledger.views.members import ever_members
from ledger.views.runs import Money
from ledger.views.window import Window
from ledger.writer import LedgerWriter

ROLES = {"ledger.researcher": Role.RESEARCHER, "ledger.coordinator": Role.COORDINATOR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Somebody who can consent: account, name for people, and whether its keys are registered, without which it takes no part."""

    account: bytes
    name: str
    keys: bool


def check_settings(file: RunFile, known: Mapping[str, TaskSetting]) -> None:
    """Check that the run file gives a task the settings that it needs, and no others.

    Raises:
        InputError: One is missing, unknown, of another type or out of its range; names the line.
    """
    names = ", ".join(sorted(known))
    for name, value in file.settings.items():
        if name not in known:
            file.wrong(f"{SETTINGS}.{name}", "is no setting of this task", f"Take it out; it has {names}.")
        if not known[name].fits(value):
            kind = KINDS[known[name].kind]
            file.wrong(f"{SETTINGS}.{name}", f"is {kind}, not {value!r}", "Mend that line.")
        if (problem := known[name].problem(value)) is not None:
            file.wrong(f"{SETTINGS}.{name}", problem, "Give a value in that range: others cannot train.")
    for name in sorted(set(known) - set(file.settings)):
        file.wrong(
            f"{SETTINGS}.{name}",
            "is missing",
            f"Add a line `{name} = ...` under [{SETTINGS}]: {KINDS[known[name].kind]}.",
        )


def account_in(file: RunFile, key: str) -> bytes:
    """Return the account of the keystore, or of the program's file, that a key names.

    Raises:
        InputError: The file is missing or says nothing of its account; names the line.
    """
    uri = file.uri(key)
    path = keystore_of(uri)
    if not os.path.isfile(path):  # Path.is_file raises where a folder is closed
        make = "Write it" if uri.startswith("program:") else "Make it with suture keys new"
        file.wrong(key, f"names {path}, which is not there for this user", f"{make}, or correct the path.")
    account = keystore_address(path)
    if account is None:
        file.wrong(key, "is a keystore without an address", "Use one that suture keys new made.")
    return account


def check_keys(file: RunFile) -> None:
    """Check that both accounts can sign: a launch that cannot would be stuck after its first step.

    Raises:
        InputError: Keystore, passphrase file or program cannot be used; names the line.
    """
    for key in ROLES:
        account_in(file, key)
        try:
            signer = open_signer(file.uri(key))
        except InputError as error:
            file.wrong(key, f"cannot be used: {error.message}", error.fix)
        if isinstance(signer, ProgramSigner) and not signer.can_be_run:
            file.wrong(
                key,
                f"cannot be used: {signer.program} is no program that this user can run",
                "Install it, make it executable, or correct its path.",
            )


def check_superlink(file: RunFile) -> None:
    """Check that the SuperLink answers.

    Raises:
        InputError: The folder is none of a SuperLink; names the line.
        EngineError: It does not answer, or refuses.
    """
    try:
        FlowerControl(file.place("superlink.folder")).runs("")
    except NoSuperLink as error:
        file.wrong("superlink.folder", f"cannot be used: {error.message}", error.fix)


def check_people(file: RunFile, window: Window) -> list[Holder]:
    """Check that both accounts have their roles and that enough holders can consent; return the holders.

    Raises:
        InputError: They do not, or there are not; names the line.
    """
    for key, role in ROLES.items():
        account = account_in(file, key)
        if role not in window.reader.member(account).roles:
            name = str(role.name).lower()
            file.wrong(
                key,
                f"is the account 0x{account.hex()}, which is no {name} on this ledger",
                f"Members can make it one: suture vote propose ADMIT 0x{account.hex()} --roles {name}",
            )
    holders = _holders(file, window)
    able = sum(holder.keys for holder in holders)
    if able < file.values["members.consents"]:
        file.wrong(
            "members.consents",
            f"waits for more consents than the {able} holders with registered keys on this ledger can give",
            "Have holders admitted and their keys registered first, or wait for fewer.",
        )
    return holders


def _holders(file: RunFile, window: Window) -> list[Holder]:
    members = [window.reader.member(account) for account in ever_members(window)]
    return [
        Holder(
            account=member.address,
            name=file.names.get(member.address) or window.names.get(member.address, ""),
            keys=member.epoch > 0,
        )
        for member in members
        if Role.HOLDER in member.roles
    ]


def check_escrow(file: RunFile, window: Window, money: Money, state: LaunchState) -> None:
    """Check that the researcher has the escrow.

    Raises:
        InputError: It has not; names the line.
    """
    if not state.token or not int(state.escrow):
        return
    balance = window.reader.token_balance(bytes.fromhex(state.token), account_in(file, "ledger.researcher"))
    if balance < int(state.escrow):
        file.wrong(
            "rewards.per_round",
            f"makes an escrow of {money.write(int(state.escrow))}, the researcher has {money.write(balance)}",
            "Promise less, have tokens sent to it, or make some with suture token mint.",
        )


def rehearse(
    file: RunFile, window: Window, money: Money, state: LaunchState, terms: Terms
) -> list[dict[str, Any]]:
    """Simulate what the researcher sends; return words, gas and the most that it costs in wei for each transaction.

    Raises:
        Reverted: The contract would refuse.
    """
    sponsor, escrow = account_in(file, "ledger.researcher"), int(state.escrow)
    token = bytes.fromhex(state.token) if state.token else EMPTY_ADDRESS
    contract, steps = window.reader.address, []
    approved = not escrow or window.reader.token_allowance(token, sponsor, contract) >= escrow
    if not approved:
        words = f"allow the ledger to take {money.write(escrow)}"
        steps.append(Step(words, "approve", lambda w, i: w.approve(token, contract, escrow, intent=i)))
    # as long as the approval is not on the chain, the deposit cannot be simulated: everything else is
    deposit = escrow if approved else 0
    create = Step(
        f"create the run 0x{state.run} with an escrow of {money.write(escrow)}",
        "create",
        lambda w, i: w.create_run(
            bytes.fromhex(state.run), terms.digest, token=token, escrow=deposit, min_clients=terms.n_min,
            max_rounds=terms.rounds, budget=state.budget, coordinator=account_in(file, "ledger.coordinator"),
            closing_delay=state.closing_delay, intent=i,
        ),
    )  # fmt: skip
    rehearsal = Rehearsal(window.connection, sponsor)
    writer = LedgerWriter.through(contract, rehearsal)
    for step in (*steps, create):
        step.send(writer, step.intent)
    return planned([*steps, create], rehearsal.calls)
