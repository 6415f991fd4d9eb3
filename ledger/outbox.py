"""Transactions that happen once, whatever crashes in between.

Every transaction has an *intent*, a key chosen by the caller ("this run's round 3 is opened"). Submitting an intent goes
through the steps below; each leaves a trace, and submitting the same intent again continues from the last one:

1. simulate: a call that would revert is never signed, and its reason is raised;
2. choose the nonce and sign;
3. write the signed bytes to the outbox, durably;
4. send them; the same bytes every time, so there is one nonce, one hash and at most one effect;
5. wait until the receipt is as deep as asked for.

The chain is the authority: an intent that was finished before is looked up again, and bytes that a fork took out of the
chain are sent again. A nonce that somebody else's transaction used is a :class:`NonceConflict`. One sqlite file may serve
several accounts and chains; entries are keyed by (intent, chain, sender), and the chain by its id *and* first block, so
that a new chain under an old id does not inherit nonces.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from eth_typing import Address
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from ledger.chain.ports import Call, Mined, Sending
from ledger.errors import (
    ChainBusy,
    ChainUnreachable,
    IntentConflict,
    LedgerError,
    NonceConflict,
    ReceiptPending,
    Reverted,
    StoreCorrupt,
)
from ledger.records import Receipt
from ledger.signer import Signer

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE entry (
  intent TEXT NOT NULL, chain TEXT NOT NULL, sender BLOB NOT NULL, nonce INTEGER NOT NULL,
  hash BLOB NOT NULL, raw BLOB NOT NULL, target BLOB, data BLOB NOT NULL, function TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('signed', 'done', 'reverted', 'replaced')), reason TEXT NOT NULL,
  PRIMARY KEY (intent, chain, sender)
) WITHOUT ROWID;
CREATE UNIQUE INDEX one_use_of_a_nonce ON entry (chain, sender, nonce) WHERE state <> 'replaced';
"""
_COLUMNS = "intent, nonce, hash, raw, target, data, function, reason"
_MAX_INTENT_CHARS = 500
SETTLING_S = 1.0
"""For how long a node may show that a nonce is used before it shows the receipt: it learns of the parts of a block one by one."""
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row, in the order of ``_COLUMNS``."""

    intent: str
    nonce: int
    hash: bytes
    raw: bytes
    target: bytes | None
    data: bytes
    function: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What became of an intent that a crash had interrupted: a receipt, or the error that submitting it raises."""

    intent: str
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
        pause: Waits some seconds between two looks.
        before_sending: Told hash and bytes of a signed transaction each time before it is sent.
        monotonic: A clock for the timeout.

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
        pause: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        before_sending: Callable[[bytes, bytes], None] = lambda tx_hash, raw: None,
    ) -> None:
        self._path = Path(path)
        self._connection = connection
        self._signer = signer
        self._confirmations = confirmations
        self._timeout_s = timeout_s
        self._settling_s = settling_s
        self._pause = pause
        self._monotonic = monotonic
        self._before_sending = before_sending
        self._mutex = threading.RLock()
        first = connection.block_hash(0)
        if first is None:
            raise ChainUnreachable("The chain does not tell its first block.", fix="Use another node.")
        self._key = (f"{connection.chain_id}:{first.hex()}", signer.address)
        self._database = self._open()

    @property
    def sender(self) -> bytes:
        """The account, 20 bytes."""
        return self._signer.address

    def close(self) -> None:
        """Close the file."""
        with self._mutex:
            self._database.close()

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
            entry = self._find(intent)
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
        query = "SELECT state FROM entry WHERE intent=? AND chain=? AND sender=?"
        with self._mutex, self._translated():
            attempt, name = 1, intent
            while True:
                row = self._database.execute(query, (name, *self._key)).fetchone()
                if row is None or row[0] in ("signed", "done"):
                    return name
                attempt += 1
                name = f"{intent}/{attempt}"

    def pending(self) -> tuple[str, ...]:
        """Return the intents that were signed and not seen through, by nonce."""
        return tuple(entry.intent for entry in self._signed())

    def _settle(self) -> list[Recovered]:
        """Drive what is still open: its nonces come first, and the next simulation must see its effects."""
        settled: list[Recovered] = []
        for entry in self._signed():
            try:
                settled.append(Recovered(intent=entry.intent, outcome=self._drive(entry)))
            except (Reverted, NonceConflict) as error:  # raised again when that intent is asked for
                settled.append(Recovered(intent=entry.intent, outcome=error))
        return settled

    def _prepare(self, intent: str, to: bytes | None, data: bytes, function: str) -> _Entry:
        """Simulate, choose the nonce, sign, persist: steps 1 to 3."""
        call = Call(sender=self.sender, to=to, data=data, function=function)
        transaction: dict[str, object] = {
            "chainId": self._connection.chain_id,
            "gas": self._connection.estimate_gas(call) * 12 // 10,
            "value": 0,
            "data": data,
            **self._connection.fees().fields(),
        }
        if to is not None:
            transaction["to"] = to_checksum_address(Address(to))
        next_nonce = self._connection.nonce(self.sender)
        with self._transaction() as database:  # holds off other processes until the nonce is taken
            earlier = self._find(intent)
            if earlier is not None:
                return earlier
            used = database.execute(
                "SELECT MAX(nonce) FROM entry WHERE chain=? AND sender=? AND state<>'replaced'", self._key
            ).fetchone()[0]
            nonce = max(next_nonce, 0 if used is None else used + 1)
            raw = self._signer.sign_transaction({**transaction, "nonce": nonce})
            entry = _Entry(intent, nonce, keccak(raw), raw, to, data, function, "")
            database.execute(
                "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'signed', '')",
                (intent, *self._key, nonce, entry.hash, raw, to, data, function),
            )
        return entry

    def _drive(self, entry: _Entry) -> Receipt:
        """Send until there is a receipt that is deep enough: steps 4 and 5."""
        deadline, wait = self._monotonic() + self._timeout_s, 0.0
        used_since: tuple[float, int] | None = (
            None  # when another transaction was first seen, and at which height
        )
        while True:
            mined = self._connection.receipt(entry.hash)
            if mined is not None:
                if self._connection.head().number - mined.block_number + 1 >= self._confirmations:
                    return self._finish(entry, mined)
            elif self._connection.nonce(self.sender) > entry.nonce:
                used_since = used_since or (self._monotonic(), self._connection.head().number)
                self._give_up_if_used(entry, *used_since)
            else:
                used_since = None
                self._before_sending(entry.hash, entry.raw)
                self._connection.send_raw(entry.raw)
            if self._monotonic() > deadline:
                raise ReceiptPending(
                    entry.hash,
                    f"{entry.function} is not in a block {self._confirmations} deep "
                    f"after {self._timeout_s:g} s.",
                )
            if wait:
                self._pause(wait)
            wait = min(max(wait * 1.5, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)

    def _give_up_if_used(self, entry: _Entry, since: float, height: int) -> None:
        """Raise if a nonce has been used by somebody else for long enough, and as deep as a receipt would have to be."""
        deep = self._connection.head().number - height + 1 >= self._confirmations
        if not deep or self._monotonic() - since < self._settling_s:
            return
        if self._connection.receipt(entry.hash) is None:
            self._mark(entry, "replaced")
            raise NonceConflict(
                entry.nonce, f"Another transaction used nonce {entry.nonce}, meant for {entry.function}."
            )

    def _finish(self, entry: _Entry, mined: Mined) -> Receipt:
        if not mined.succeeded:
            call = Call(sender=self.sender, to=entry.target, data=entry.data, function=entry.function)
            reason = entry.reason or self._connection.revert_reason(call, mined.block_number - 1)
            self._mark(entry, "reverted", reason)
            raise Reverted(entry.function, reason)
        self._mark(entry, "done")
        return Receipt(
            tx_hash=mined.tx_hash,
            block_number=mined.block_number,
            block_hash=mined.block_hash,
            gas_used=mined.gas_used,
            contract=mined.contract,
        )

    # ---------------------------------------------------------------- the file
    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._translated():
            database = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=10.0
            )
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("BEGIN IMMEDIATE")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not database.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in _SCHEMA.split(";\n"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
            elif version != _SCHEMA_VERSION:
                database.close()
                raise StoreCorrupt(
                    f"{self._path} is not an outbox of this version.", fix="Name another file."
                )
            database.execute("COMMIT")
        return database

    def _find(self, intent: str) -> _Entry | None:
        query = f"SELECT {_COLUMNS} FROM entry WHERE intent=? AND chain=? AND sender=?"  # noqa: S608
        with self._translated():
            row = self._database.execute(query, (intent, *self._key)).fetchone()
        return None if row is None else _Entry(*row)

    def _signed(self) -> list[_Entry]:
        query = f"SELECT {_COLUMNS} FROM entry WHERE chain=? AND sender=? AND state='signed' ORDER BY nonce"  # noqa: S608
        with self._translated():
            return [_Entry(*row) for row in self._database.execute(query, self._key).fetchall()]

    def _mark(self, entry: _Entry, state: str, reason: str = "") -> None:
        with self._translated():
            self._database.execute(
                "UPDATE entry SET state=?, reason=? WHERE intent=? AND chain=? AND sender=? AND (state, reason)<>(?, ?)",
                (state, reason, entry.intent, *self._key, state, reason),
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise ChainBusy(f"The outbox {self._path} was locked for 10 s.", fix="Try again.") from error
            raise LedgerError(f"The outbox {self._path} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(f"The outbox {self._path} is damaged: {error}.") from error
