"""Founding: puts a ledger with its first members on a chain, and writes the file by which everybody finds it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fl_core.digests import Label, digest
from fl_core.errors import InputError
from ledger.address import EMBEDDED, LedgerAddress, code_hash, place_of, write_address
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import open_embedded
from ledger.chain.http import shown
from ledger.desk.desk import Account, Step, Wishes, confirm, described, planned
from ledger.fingerprint import fingerprint
from ledger.records import EMPTY_ADDRESS, Receipt, Role
from ledger.rehearsal import Rehearsal
from ledger.views.window import Answer, facts, read_account, read_roles, role_names
from ledger.writer import LedgerWriter, creation_code, deploy_ledger
from suture_fl.interruptions import INTERRUPTIONS

MAX_FOUNDERS = 16
"""As many as the contract's constructor takes; later members come by vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A ledger to be founded.

    Attributes:
        file: The ``ledger.toml`` to write.
        chain: ``"embedded:PATH"`` or the URL of a JSON-RPC node.
        chain_id: The chain's id; None takes what a node says, or one that follows from the founders.
        founders: First members and their roles, in order.
        threshold: Votes that an act needs.
        confirmations: How deep something must be to count.
    """

    file: Path
    chain: str
    chain_id: int | None
    founders: Mapping[bytes, Role]
    threshold: int
    confirmations: int = 1

    @property
    def digest(self) -> bytes:
        """Names this founding: the same one again, after a crash, finds the contract that it made."""
        members = b"".join(account + bytes([int(roles)]) for account, roles in self.founders.items())
        return digest(Label.FOUNDING, members, self.threshold.to_bytes(4, "big"))

    @property
    def embedded(self) -> Path | None:
        """File of an embedded chain; a relative path lies beside the ledger's file."""
        if not self.chain.startswith(EMBEDDED):
            return None
        return self.file.parent / self.chain.removeprefix(EMBEDDED)


def read_founders(texts: Sequence[str]) -> dict[bytes, Role]:
    """Return accounts and roles from texts like ``0x12...=holder,auditor``.

    Raises:
        InputError: A text is wrong, an account is named twice, or there are too few or too many.
    """
    founders: dict[bytes, Role] = {}
    for text in texts:
        account, sign, roles = text.partition("=")
        if not sign:
            raise InputError(f"{text!r} names no roles.", fix="Write ACCOUNT=ROLE or ACCOUNT=ROLE,ROLE.")
        address = read_account(account)
        if address in founders or address == EMPTY_ADDRESS:
            raise InputError(
                f"0x{address.hex()} is named twice or is nobody's.", fix="Name each founder once."
            )
        founders[address] = read_roles(roles)
    if not 1 <= len(founders) <= MAX_FOUNDERS:
        raise InputError(
            f"A ledger has 1 to {MAX_FOUNDERS} founders, not {len(founders)}.",
            fix="Name them with --founder; admit others by vote.",
        )
    return founders


def found(plan: Plan, account: Account, wishes: Wishes, note: Callable[[str], None]) -> Answer:
    """Put the ledger on its chain and write its file; see :mod:`ledger.desk.desk` for the order.

    Raises:
        InputError: The file exists, the threshold is out of range, or the person declines.
        LedgerError: The chain is another one, busy, or does not answer.
    """
    if not 1 <= plan.threshold <= len(plan.founders):
        raise InputError(
            f"The threshold is between 1 and the {len(plan.founders)} founders, not {plan.threshold}.",
            fix="Mend --threshold.",
        )
    if plan.file.exists():
        raise InputError(f"{plan.file} exists already.", fix="Name another file; a ledger is founded once.")
    step = _step(plan)
    with INTERRUPTIONS.something_to_tidy_up():
        with _chain(plan, rehearse=True) as connection:
            rehearsal = Rehearsal(connection, account.address)
            step.send(LedgerWriter.through(EMPTY_ADDRESS, rehearsal), step.intent)
        for line in [*_members(plan), *described([step], rehearsal.calls, f"0x{account.address.hex()}")]:
            note(line)
        if wishes.dry_run:
            data = {"dry_run": True, "transactions": planned([step], rehearsal.calls)}
            return Answer(data, ["Dry run: nothing was sent, no file was made."])
        confirm("Found this ledger?", wishes)
        address = _sent(plan, account, step)
        write_address(plan.file, address)
    return _told(plan, address)


def _sent(plan: Plan, account: Account, step: Step) -> LedgerAddress:
    """Create the contract, once, and return where it is."""
    signer = account.signer  # before a chain is made: a passphrase may be wrong
    with _chain(plan, rehearse=False) as connection:
        contract = deploy_ledger(
            connection,
            signer,
            account.outbox,
            founders=plan.founders,
            threshold=plan.threshold,
            intent=step.intent,
            confirmations=plan.confirmations,
        )
        return _address(plan, connection, contract)


def _step(plan: Plan) -> Step:
    code = creation_code(
        "TrainingLedger", list(plan.founders), [int(r) for r in plan.founders.values()], plan.threshold
    )

    def send(writer: LedgerWriter, intent: str) -> Receipt:
        return writer.deploy(code, "TrainingLedger", intent=intent)

    return Step("put a new ledger on the chain", f"found/{plan.digest.hex()}", send)


def _members(plan: Plan) -> Iterator[str]:
    yield f"A ledger of {len(plan.founders)} members; an act needs {plan.threshold} of their votes:"
    for account, roles in plan.founders.items():
        yield f"  0x{account.hex()}  {fingerprint(account)}  {', '.join(role_names(roles))}"
    yield f"on {plan.embedded or shown(plan.chain)}"


@contextmanager
def _chain(plan: Plan, *, rehearse: bool) -> Iterator[Web3Connection]:
    """Open the chain, or make an embedded one; a rehearsal makes it elsewhere."""
    path = plan.embedded
    if path is None:
        yield Web3Connection(plan.chain, chain_id=plan.chain_id)
        return
    wanted = plan.chain_id or 1 + int.from_bytes(plan.digest[:5], "big")
    with tempfile.TemporaryDirectory() as elsewhere:
        exists = path.is_file()
        place = Path(elsewhere) / "dry-run.sqlite" if rehearse and not exists else path
        place.parent.mkdir(parents=True, exist_ok=True)
        chain = open_embedded(place, chain_id=wanted, read_only=rehearse and exists)
        try:
            yield Web3Connection(chain)
        finally:
            chain.close()


def _address(plan: Plan, connection: Web3Connection, contract: bytes) -> LedgerAddress:
    path = plan.embedded
    address = LedgerAddress(
        chain=plan.chain if path is None else f"{EMBEDDED}{path.resolve()}",
        chain_id=connection.chain_id,
        contract=contract.hex(),
        confirmations=plan.confirmations,
    )
    return replace(address, code=code_hash(connection, contract).hex())


def _told(plan: Plan, address: LedgerAddress) -> Answer:
    check = fingerprint(bytes.fromhex(address.contract), bytes.fromhex(address.code))
    data: dict[str, Any] = {
        "dry_run": False,
        "file": str(plan.file),
        "chain_id": address.chain_id,
        "contract": f"0x{address.contract}",
        "code": f"0x{address.code}",
        "fingerprint": check,
        "threshold": plan.threshold,
    }
    lines = facts({name: data[name] for name in ("file", "chain_id", "contract", "code", "fingerprint")})
    return Answer(
        data, [*lines, f"Give {plan.file} to every member; they compare the fingerprint over the phone."]
    )


def describe(address: LedgerAddress, code: bytes) -> Answer:
    """Return what is pinned about a ledger, and its fingerprint."""
    check = fingerprint(bytes.fromhex(address.contract), code)
    data = {
        "chain": place_of(address),
        "chain_id": address.chain_id,
        "contract": f"0x{address.contract}",
        "code": f"0x{code.hex()}",
        "pinned": bool(address.code),
        "fingerprint": check,
    }
    return Answer(data, facts(data))
