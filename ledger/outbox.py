"""Transactions that happen once, whatever crashes in between.

Every transaction has an *intent*, a key chosen by the caller ("this run's round 3 is opened"). Submitting an intent goes
through the steps below; each leaves a trace, and submitting the same intent again continues from the last one:

1. simulate: a call that would revert is never signed, and its reason is raised;
2. choose the nonce and sign;
3. write the signed bytes to the outbox, durably;
4. send them; the same bytes every time, so there is one nonce, one hash and at most one effect;
5. wait until the receipt is as deep as asked for. Where gas costs something and the offer turns out to be too low (the node says
   so, or blocks go by without it), sign the same call with the same nonce and a higher fee, and go on from step 3. The chain takes
   one transaction for a nonce, so there is still at most one effect; the receipt of any of them counts.

The chain is the authority: an intent that was finished before is looked up again, and bytes that a fork took out of the
chain are sent again. A nonce that somebody else's transaction used is a :class:`NonceConflict`. One sqlite file may serve
several accounts and chains; entries are keyed by (intent, chain, sender), and the chain by its id *and* first block, so
that a new chain under an old id does not inherit nonces.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from eth_typing import Address
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from ledger import fees
from ledger.chain.ports import Call, Mined, Sending, Waiting, say_nothing
from ledger.errors import (
    ChainUnreachable,
    IntentConflict,
    LedgerError,
    NonceConflict,
    ReceiptPending,
    Reverted,
    Underpriced,
)
from ledger.fees import Offer, offer_of
from ledger.outbox_file import Entry, OutboxFile
from ledger.records import Receipt
from ledger.signer import Signer

_MAX_INTENT_CHARS = 500
SETTLING_S = 1.0
"""For how long a node may show that a nonce is used before it shows the receipt: it learns of the parts of a block one by one."""
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
UNTOLD_S = 15.0
"""For how long a call may be in no block before somebody is told, in seconds; chains make a block every few seconds."""
STUCK_BLOCKS = 3
"""How many blocks go by without a transaction before its fee is raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of an intent that a crash had interrupted.

    Attributes:
        intent: The intent.
        target: The contract that was called, or None where one was made.
        data: Call data or init code.
        outcome: A receipt, or the error that submitting it raises.
    """

    intent: str
    target: bytes | None
    data: bytes
    outcome: Receipt | LedgerError


class Submitting(Protocol):
    """What a writer needs of an outbox; :class:`Outbox` sends, :class:`ledger.rehearsal.Rehearsal` only simulates."""

    @property
    def sender(self) -> bytes:
        """The account, 20 bytes."""
        ...

    def submit(self, intent: str, to: bytes | None, data: bytes, function: str) -> Receipt:
        """Make a call happen once; see :meth:`Outbox.submit`."""
        ...

    def recover(self) -> tuple[Recovered, ...]:
        """Finish what was begun; see :meth:`Outbox.recover`."""
        ...

    def usable(self, intent: str) -> str:
        """Return an intent under which a person can try; see :meth:`Outbox.usable`."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Outbox:
    """The outbox of one account on one chain. Safe for threads, and for processes that share the file.

    Args:
        path: The sqlite file; made when new.
        connection: Where to send.
        signer: The account.
        confirmations: How many blocks deep a receipt must be; 1 on chains without forks.
        timeout_s: How long to wait for a receipt before :class:`ReceiptPending`.
        settling_s: How long a nonce must be used, with no receipt of ours, before that is a :class:`NonceConflict`.
        stuck_blocks: How many blocks go by before a fee is raised.
        most_wei_per_gas: Most that is offered for a unit of gas; None takes :func:`ledger.fees.most_wei_per_gas`.
        pause: Waits some seconds between two looks.
        monotonic: A clock for the timeout.
        before_sending: Told hash and bytes of a signed transaction each time before it is sent.
        waiting: Told what is waited for, and for how many seconds, when no block takes a transaction.

    Raises:
        StoreCorrupt: The file is not an outbox.
        ChainUnreachable: The chain does not tell its first block.
    """

    def __init__(
        self,
        path: Path,
        connection: Sending,
        signer: Signer,
        *,
        confirmations: int = 1,
        timeout_s: float = 60.0,
        settling_s: float = SETTLING_S,
        stuck_blocks: int = STUCK_BLOCKS,
        most_wei_per_gas: int | None = None,
        pause: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        before_sending: Callable[[bytes, bytes], None] = lambda tx_hash, raw: None,
        waiting: Waiting = say_nothing,
    ) -> None:
        self._connection = connection
        self._signer = signer
        self._confirmations = confirmations
        self._timeout_s = timeout_s
        self._settling_s = settling_s
        self._stuck_blocks = stuck_blocks
        self._most = fees.most_wei_per_gas() if most_wei_per_gas is None else most_wei_per_gas
        self._pause = pause
        self._monotonic = monotonic
        self._before_sending = before_sending
        self._waiting = waiting
        self._mutex = threading.RLock()
        self._file = OutboxFile(Path(path), _name_of(connection), signer.address)

    @property
    def sender(self) -> bytes:
        """The account, 20 bytes."""
        return self._signer.address

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._file.close()

    # ---------------------------------------------------------------- submitting
    def submit(self, intent: str, to: bytes | None, data: bytes, function: str) -> Receipt:
        """Make the call happen once and return its receipt; see the module docstring.

        Args:
            intent: 1 to 500 characters that name this one effect.
            to: The contract, or None to make one.
            data: Call data or init code.
            function: Name for messages.

        Raises:
            Reverted: The contract refuses, in the simulation or in a block; the reason is the contract's.
            IntentConflict: The intent was used for another call.
            NonceConflict: The account is used elsewhere.
            ReceiptPending: Not deep enough yet; submit the same intent again.
            ChainUnreachable: The node does not answer; submit the same intent again.
        """
        if not 0 < len(intent) <= _MAX_INTENT_CHARS:
            raise IntentConflict(f"An intent has 1 to {_MAX_INTENT_CHARS} characters.")
        with self._mutex:
            entry = self._file.find(intent)
            if entry is None:
                self._settle()
                entry = self._prepare(intent, to, data, function)
            if (entry.target, entry.data) != (to, data):
                raise IntentConflict(
                    f"The intent {intent!r} stands for {entry.function} with other arguments.",
                    fix="An intent names one effect; use another one for another call.",
                )
            return self._drive(entry)

    def recover(self) -> tuple[Recovered, ...]:
        """Finish everything that was signed and not seen through, in order; for the start of a program.

        Raises:
            ChainUnreachable: The node does not answer; nothing is lost.
            ReceiptPending: A receipt is not deep enough yet.
        """
        with self._mutex:
            return tuple(self._settle())

    def usable(self, intent: str) -> str:
        """Return ``intent``, or ``intent/2`` and so on if all before it failed for good: reverted, or their nonce was used.

        For a person who tries again; a program that wants one effect exactly keeps to one intent.
        """
        with self._mutex:
            attempt, name = 1, intent
            while self._file.state(name) not in (None, "signed", "done"):
                attempt += 1
                name = f"{intent}/{attempt}"
            return name

    def pending(self) -> tuple[str, ...]:
        """Return the intents that were signed and not seen through, by nonce."""
        return tuple(entry.intent for entry in self._file.signed())

    def _settle(self) -> list[Recovered]:
        """Drive what is still open: its nonces come first, and the next simulation must see its effects."""
        settled: list[Recovered] = []
        for entry in self._file.signed():
            outcome: Receipt | LedgerError
            try:
                outcome = self._drive(entry)
            except (Reverted, NonceConflict) as error:  # raised again when that intent is asked for
                outcome = error
            settled.append(
                Recovered(intent=entry.intent, target=entry.target, data=entry.data, outcome=outcome)
            )
        return settled

    def _prepare(self, intent: str, to: bytes | None, data: bytes, function: str) -> Entry:
        """Simulate, choose the nonce, sign, persist: steps 1 to 3."""
        call = Call(sender=self.sender, to=to, data=data, function=function)
        gas = self._connection.estimate_gas(call) * 12 // 10
        offer = Offer(gas=gas, fees=fees.limited(self._connection.fees(), self._most))
        next_nonce = self._connection.nonce(self.sender)
        with self._file.transaction():  # holds off other processes until the nonce is taken
            earlier = self._file.find(intent)
            if earlier is not None:
                return earlier
            used = self._file.last_nonce()
            nonce = max(next_nonce, 0 if used is None else used + 1)
            raw = self._sign(to, data, nonce, offer)
            entry = Entry(intent, nonce, keccak(raw), raw, to, data, function, "")
            self._file.add(entry)
        return entry

    def _sign(self, to: bytes | None, data: bytes, nonce: int, offer: Offer) -> bytes:
        """Return the signed bytes of a call."""
        transaction: dict[str, object] = {
            "chainId": self._connection.chain_id,
            "nonce": nonce,
            "gas": offer.gas,
            "value": 0,
            "data": data,
            **offer.fees.fields(),
        }
        if to is not None:
            transaction["to"] = to_checksum_address(Address(to))
        return self._signer.sign_transaction(transaction)

    def _drive(self, entry: Entry) -> Receipt:
        """Send until there is a receipt that is deep enough: steps 4 and 5."""
        began, wait = self._monotonic(), 0.0
        used_since: tuple[float, int] | None = (
            None  # when another transaction was first seen, and at which height
        )
        sent_at: int | None = None  # the height at which this call first looked after it had sent
        too_low = False
        while True:
            mined = self._mined(entry)
            if mined is not None:
                if self._connection.head().number - mined.block_number + 1 >= self._confirmations:
                    return self._finish(entry, mined)
            elif self._connection.nonce(self.sender) > entry.nonce:
                used_since = used_since or (self._monotonic(), self._connection.head().number)
                self._give_up_if_used(entry, *used_since)
            else:
                used_since = None
                if wait:
                    height = self._connection.head().number
                    sent_at = height if sent_at is None else sent_at
                    entry = self._enough(entry, height, sent_at, too_low=too_low)
                too_low = self._send(entry)
            away = self._monotonic() - began
            if away > self._timeout_s:
                raise ReceiptPending(entry.hash, self._pending(entry, waits=mined is None, too_low=too_low))
            if away > UNTOLD_S:
                self._waiting(f"{entry.function} is not in a block {self._confirmations} deep", away)
            if wait:
                self._pause(wait)
            wait = min(max(wait * 1.5, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    def _mined(self, entry: Entry) -> Mined | None:
        """Return where an entry's transaction is, whichever of its fees it paid."""
        for tx_hash in (entry.hash, *self._file.cheaper(entry.intent)):
            mined = self._connection.receipt(tx_hash)
            if mined is not None:
                return mined
        return None

    def _send(self, entry: Entry) -> bool:
        """Send an entry's bytes; return whether the node wants more for gas."""
        self._before_sending(entry.hash, entry.raw)
        try:
            self._connection.send_raw(entry.raw)
        except Underpriced:
            return True
        return False

    def _enough(self, entry: Entry, height: int, sent_at: int, *, too_low: bool) -> Entry:
        """Return an entry with a higher fee, on the disk, where that of the given one is too low; otherwise the same."""
        if entry.height is None:
            entry = self._file.waits(entry, height)
        assert entry.height is not None, "it was set just now"
        stuck = height - entry.height >= self._stuck_blocks and height > sent_at
        if not (stuck or too_low):
            return entry
        offer = offer_of(entry.raw)
        higher = fees.raised(offer.fees, self._connection.fees(), self._most)
        if higher is None:
            return entry
        raw = self._sign(entry.target, entry.data, entry.nonce, replace(offer, fees=higher))
        new = replace(entry, hash=keccak(raw), raw=raw, height=height)
        with self._file.transaction():
            now = self._file.find(entry.intent)
            if now is None or now.hash != entry.hash:  # another process that shares the file was faster
                return now or entry
            self._file.reprice(entry, new)
        return new

    def _pending(self, entry: Entry, *, waits: bool, too_low: bool) -> str:
        """Say that the time is up."""
        words = f"{entry.function} is not in a block {self._confirmations} deep after {self._timeout_s:g} s"
        offered = fees.highest(offer_of(entry.raw).fees) if waits else 0
        if too_low or (offered and offered * 9 >= self._most * 8):
            words += f"; it offers {offered} wei for a unit of gas, and {fees.VARIABLE} allows {self._most}"
        return words + "."

    def _give_up_if_used(self, entry: Entry, since: float, height: int) -> None:
        """Raise if a nonce has been used by somebody else for long enough, and as deep as a receipt would have to be."""
        deep = self._connection.head().number - height + 1 >= self._confirmations
        if not deep or self._monotonic() - since < self._settling_s:
            return
        if self._mined(entry) is None:
            self._file.mark(entry, "replaced")
            raise NonceConflict(
                entry.nonce, f"Another transaction used nonce {entry.nonce}, meant for {entry.function}."
            )

    def _finish(self, entry: Entry, mined: Mined) -> Receipt:
        if not mined.succeeded:
            call = Call(sender=self.sender, to=entry.target, data=entry.data, function=entry.function)
            reason = entry.reason or self._connection.revert_reason(call, mined.block_number - 1)
            self._file.mark(entry, "reverted", reason)
            raise Reverted(entry.function, reason)
        self._file.mark(entry, "done")
        return Receipt(
            tx_hash=mined.tx_hash,
            block_number=mined.block_number,
            block_hash=mined.block_hash,
            gas_used=mined.gas_used,
            contract=mined.contract,
        )


def unfinished(path: Path, connection: Sending, account: bytes) -> tuple[str, ...]:
    """Return the intents of an account that were signed and not seen through, by nonce; needs no key, sends nothing.

    Raises:
        StoreCorrupt: The file is not an outbox.
        ChainUnreachable: The chain does not tell its first block.
    """
    if not path.exists():
        return ()
    with closing(OutboxFile(path, _name_of(connection), account)) as file:
        return tuple(entry.intent for entry in file.signed())


def _name_of(connection: Sending) -> str:
    """Return what tells a chain from every other: ids are chosen by people."""
    first = connection.block_hash(0)
    if first is None:
        raise ChainUnreachable("The chain does not tell its first block.", fix="Use another node.")
    return f"{connection.chain_id}:{first.hex()}"
