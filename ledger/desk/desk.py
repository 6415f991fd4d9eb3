"""A person at a ledger, with an account: every act is rehearsed, shown, confirmed, sent once, and told.

The order is always the same:

1. what a crash left of earlier acts is finished; where it is the same as what is asked for now, that is the answer;
2. the call is simulated on the newest state, so that a refusal costs nothing and names its reason;
3. what would be sent is shown; ``--dry-run`` ends here, without a key and without a passphrase;
4. the person is asked, unless ``--yes``;
5. the outbox sends it; the same act again, after a crash, is sent at most once.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import typer

from fl_core.errors import InputError
from fl_core.secret import Secret
from ledger.address import LedgerAddress, OpenLedger, open_ledger
from ledger.desk.begun import done_already
from ledger.outbox import Outbox, unfinished
from ledger.records import Receipt
from ledger.rehearsal import Rehearsal, Rehearsed
from ledger.signer import Signer, keystore_address, keystore_of, open_signer
from ledger.views.window import Answer, Window
from ledger.writer import LedgerWriter
from suture_fl.interruptions import INTERRUPTIONS
from suture_fl.report import one_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a person wants an act to be done.

    Attributes:
        dry_run: Only simulate and show.
        yes: Do not ask.
        as_json: Answers are JSON.
    """

    dry_run: bool = False
    yes: bool = False
    as_json: bool = False


class Account:
    """An account whose address is known before its key is opened.

    Args:
        uri: The signer's URI; see :mod:`ledger.signer`.
        outbox: Its outbox; by default ``outbox.sqlite`` beside the keystore.
    """

    def __init__(self, uri: str, outbox: Path | None = None) -> None:
        self._uri = uri
        self._path = keystore_of(uri)
        self._signer: Signer | None = None
        self.outbox = outbox or self._path.parent / "outbox.sqlite"

    @property
    def address(self) -> bytes:
        """Its address, from the keystore's label where there is one; checked when the key is opened."""
        return keystore_address(self._path) or self.signer.address

    @property
    def signer(self) -> Signer:
        """Its key; asks for the passphrase when the URI does not say where it is."""
        if self._signer is None:
            self._signer = open_signer(self._uri, ask_passphrase)
        return self._signer


def ask_passphrase(words: str) -> Secret:
    """Ask a person at the terminal; nothing that is typed is shown.

    Raises:
        InputError: There is no terminal.
    """
    if not sys.stdin.isatty():
        raise InputError(
            f"{words}: there is no terminal to ask at.",
            fix="Add ?passphrase-file=FILE or ?passphrase-env=VARIABLE to the account's URI.",
        )
    return Secret(os.fsencode(getpass.getpass(f"{words}: ")))


def confirm(question: str, wishes: Wishes) -> None:
    """Ask a person whether to go on, unless told not to.

    Raises:
        InputError: The person declines, or there is no terminal to ask at.
    """
    if wishes.yes:
        return
    if not sys.stdin.isatty():
        raise InputError(
            "Nothing was sent: there is no terminal to ask at.", fix="Add --yes to send, --dry-run to look."
        )
    if not typer.confirm(question, err=True):
        raise InputError("Nothing was sent.", fix="Answer y to send.")


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction of an act.

    Attributes:
        words: What it does, for people.
        intent: Idempotency key.
        send: Makes the call with a writer, under the intent that it is given.
        rehearse: Stands for ``send`` in the simulation, where an earlier step has to happen first.
    """

    words: str
    intent: str
    send: Callable[[LedgerWriter, str], Receipt]
    rehearse: Callable[[LedgerWriter, str], Receipt] | None = None


class Desk(Window):
    """A window with an account; see the module docstring.

    Args:
        ledger: The ledger, open for writing unless nothing will be sent.
        account: Who acts.
        wishes: How.
    """

    def __init__(self, ledger: OpenLedger, account: Account, wishes: Wishes) -> None:
        super().__init__(ledger, as_json=wishes.as_json)
        self.account = account
        self.wishes = wishes
        self._seal_broken = ledger.address.public is not None and ledger.address.public.seal.is_file()

    @property
    def contract(self) -> bytes:
        """The ledger's contract."""
        return self.reader.address

    def note(self, text: str) -> None:
        """Tell a person something, on the standard error; programs are spared."""
        if not self.as_json:
            typer.echo(one_line(text), err=True)

    def act(
        self,
        steps: Sequence[Step],
        *,
        extra: Mapping[str, Any] | None = None,
        told: Callable[[Sequence[Receipt]], Mapping[str, Any]] = lambda _: {},
    ) -> tuple[Receipt, ...]:
        """Do something on the ledger; see the module docstring for the order.

        Args:
            steps: Its transactions.
            extra: Further fields of the answer.
            told: Returns what the receipts add to them.

        Returns:
            The receipts; none after ``--dry-run``.

        Raises:
            InputError: There is nobody to ask, or the person declines.
            Reverted: The contract refuses; nothing was sent, or the receipt says so.
            LedgerError: The chain is busy or does not answer; try again.
        """
        with nullcontext() if self.wishes.dry_run else self._writing() as writer:
            begun = self._recover(writer, steps) if writer is not None else [None] * len(steps)
            left = [step for step, receipt in zip(steps, begun, strict=True) if receipt is None]
            calls = self._rehearse(left)
            self._announce(left, calls)
            if writer is None:
                self.show(self._planned(steps, calls, extra or {}))
                return ()
            if left:
                confirm("Send?", self.wishes)
            receipts = tuple(
                receipt or step.send(writer, writer.usable(step.intent))
                for step, receipt in zip(steps, begun, strict=True)
            )
        self.show(self._done(steps, receipts, {**(extra or {}), **told(receipts)}, list(told(receipts))))
        return receipts

    def unfinished(self) -> tuple[str, ...]:
        """Return the intents that an interrupted command left; opens no key."""
        return unfinished(self.account.outbox, self.connection, self.account.address)

    def finish(self) -> None:
        """Step 1 alone: see through what an interrupted command left; nothing where there is nothing, or with ``--dry-run``."""
        if self.wishes.dry_run or not self.unfinished():
            return
        with self._writing() as writer:
            self._recover(writer, [])

    def noting(self) -> AbstractContextManager[Callable[[bytes, bytes], None]]:
        """Return who is told hash and bytes of each signed transaction before it is sent; here nobody is."""
        return nullcontext(lambda tx_hash, raw: None)

    @contextmanager
    def _writing(self) -> Iterator[LedgerWriter]:
        signer = self.account.signer  # first, since it may ask, and checks the address
        with self.noting() as note:
            outbox = Outbox(
                self.account.outbox,
                self.connection,
                signer,
                confirmations=self.address.confirmations,
                before_sending=note,
            )
            with closing(LedgerWriter.through(self.contract, outbox)) as writer:
                yield writer

    def _recover(self, writer: LedgerWriter, steps: Sequence[Step]) -> list[Receipt | None]:
        """Step 1; return the receipts of those steps that an earlier command sent."""
        recovered = writer.recover()
        for finished in recovered:
            end = "is done" if isinstance(finished.outcome, Receipt) else f"failed: {finished.outcome}"
            self.note(f"note: what an earlier command began, {finished.intent!r}, {end}")
        return done_already((step.send for step in steps), self.contract, self.account.address, recovered)

    def _rehearse(self, steps: Sequence[Step]) -> list[Rehearsed]:
        """Step 2."""
        rehearsal = Rehearsal(self.connection, self.account.address)
        writer = LedgerWriter.through(self.contract, rehearsal)
        for step in steps:
            (step.rehearse or step.send)(writer, step.intent)
        return rehearsal.calls

    def _announce(self, steps: Sequence[Step], calls: Sequence[Rehearsed]) -> None:
        """Step 3."""
        for line in described(steps, calls, self.name(self.account.address)):
            self.note(line)
        if self._seal_broken and not self.wishes.dry_run:
            self.note(
                "note: the public folder is sealed; until its coordinator seals it again, audits report the change"
            )

    def _planned(self, steps: Sequence[Step], calls: Sequence[Rehearsed], extra: Mapping[str, Any]) -> Answer:
        data = {
            "dry_run": True,
            "account": f"0x{self.account.address.hex()}",
            "transactions": planned(steps, calls),
        }
        return Answer(data | dict(extra), ["Dry run: nothing was sent."])

    def _done(
        self, steps: Sequence[Step], receipts: Sequence[Receipt], extra: Mapping[str, Any], new: Sequence[str]
    ) -> Answer:
        pairs = list(zip(steps, receipts, strict=True))
        data = {
            "dry_run": False,
            "account": f"0x{self.account.address.hex()}",
            "transactions": [{"words": step.words, **receipt_json(receipt)} for step, receipt in pairs],
        }
        lines = [
            f"Done: {s.words} (block {r.block_number}, transaction 0x{r.tx_hash.hex()})" for s, r in pairs
        ]
        return Answer(data | dict(extra), lines)


def described(steps: Sequence[Step], calls: Sequence[Rehearsed], account: str) -> Iterator[str]:
    """Yield what would be sent, for people."""
    for step, call in zip(steps, calls, strict=True):
        target = "a new contract" if call.to is None else f"0x{call.to.hex()}"
        cost = "no fee" if call.gas_price == 0 else f"at most {call.gas * call.gas_price} wei"
        yield f"{step.words}"
        yield f"  {call.function} at {target}, from {account}; {call.gas} gas, {cost}"


def planned(steps: Sequence[Step], calls: Sequence[Rehearsed]) -> list[dict[str, Any]]:
    """Return what would be sent, for programs."""
    return [
        {
            "words": step.words,
            "function": call.function,
            "to": None if call.to is None else f"0x{call.to.hex()}",
            "data": f"0x{call.data.hex()}",
            "gas": call.gas,
            "most_wei": str(call.gas * call.gas_price),
        }
        for step, call in zip(steps, calls, strict=True)
    ]


def receipt_json(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt for programs."""
    return {
        "transaction": f"0x{receipt.tx_hash.hex()}",
        "block": receipt.block_number,
        "gas": receipt.gas_used,
    }


def next_nonce(desk: Desk) -> int:
    """Return the account's next nonce: part of the intent of an act that may be done any number of times."""
    return desk.connection.nonce(desk.account.address)


def effects(window: Window, event: str, **values: object) -> int:
    """Return how many events of a name have these values: it tells a new act from one that a crash cut short."""
    found = window.reader.events(event)
    return sum(all(e.values[name] == value for name, value in values.items()) for e in found)


D = TypeVar("D", bound=Desk)


@contextmanager
def sit_down(address: LedgerAddress, account: Account, wishes: Wishes, kind: type[D]) -> Iterator[D]:
    """Open a ledger to act on it.

    Args:
        address: Which one.
        account: Who acts.
        wishes: How.
        kind: Class of the desk.

    Raises:
        InputError: A file is missing or wrong.
        LedgerError: It is another chain or contract, busy, damaged or does not answer.
    """
    with INTERRUPTIONS.something_to_tidy_up():
        ledger = open_ledger(address, write=not wishes.dry_run)
        try:
            yield kind(ledger, account, wishes)
        finally:
            ledger.close()
