"""A reader that remembers members, keys, consents and what never changes, until the ledger says that one changed.

The contract emits an event for every change of state. So a fact that was read at block b still holds at block h if no event
of :data:`CHANGES` lies in (b, h] and block b is still on the chain. Asking for events costs a tenth of asking the contract.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar, cast

from ledger.chain.abi import interface
from ledger.chain.ports import Reading
from ledger.reader import LedgerReader
from ledger.records import Head, Keys, Member, Model, Origin, Round, RoundState

CHANGES = ("MemberAdmitted", "MemberRemoved", "KeysSet", "Consent")
"""Events that change what :meth:`WatchingReader.member`, ``keys`` or ``consent`` return."""

T = TypeVar("T")


class WatchingReader(LedgerReader):
    """A :class:`~ledger.reader.LedgerReader` for a party that asks for the same things round after round.

    Arguments as for :class:`~ledger.reader.LedgerReader`.
    """

    def __init__(self, connection: Reading, address: bytes, *, confirmations: int = 1) -> None:
        super().__init__(connection, address, confirmations=confirmations)
        self._topics = {interface("TrainingLedger").event(name).topic for name in CHANGES}
        self._as_of: Head | None = None
        self._facts: dict[tuple[object, ...], object] = {}
        self._guard = threading.RLock()  # keys() asks for the member

    def member(self, account: bytes) -> Member:
        """Return an account's membership; see :meth:`LedgerReader.member`."""
        return self._remembered(("member", account), lambda: super(WatchingReader, self).member(account))

    def keys(self, account: bytes) -> Keys:
        """Return an account's current key set; see :meth:`LedgerReader.keys`."""
        return self._remembered(("keys", account), lambda: super(WatchingReader, self).keys(account))

    def consent(self, run: bytes, holder: bytes) -> bytes:
        """Return the terms that a holder consents to; see :meth:`LedgerReader.consent`."""
        return self._remembered(
            ("consent", run, holder), lambda: super(WatchingReader, self).consent(run, holder)
        )

    def origin(self, run: bytes) -> Origin:
        """Return what never changes about a run; see :meth:`LedgerReader.origin`."""
        return self._remembered(("origin", run), lambda: super(WatchingReader, self).origin(run))

    def model(self, model: bytes) -> Model:
        """Return a model, which is written once; see :meth:`LedgerReader.model`."""
        return self._remembered(("model", model), lambda: super(WatchingReader, self).model(model))

    def round(self, run: bytes, number: int) -> Round:
        """Return a round; one that is over never changes. See :meth:`LedgerReader.round`."""
        fact = ("round", run, number)
        with self._guard:
            self._catch_up()
            found = self._facts.get(fact)
            if found is None:
                found = super().round(run, number)
                if found.state in (RoundState.FINALISED, RoundState.ABORTED):
                    self._facts[fact] = found
            return cast(Round, found)

    def _remembered(self, fact: tuple[object, ...], ask: Callable[[], T]) -> T:
        with self._guard:
            self._catch_up()
            if fact not in self._facts:
                self._facts[fact] = ask()
            return cast(T, self._facts[fact])

    def _catch_up(self) -> None:
        """Forget everything if a change, or another chain, came since the last look."""
        head, as_of = self.head(), self._as_of
        if as_of == head:
            return
        if as_of is None or self._changed(as_of, head):
            self._facts.clear()
        self._as_of = head

    def _changed(self, as_of: Head, head: Head) -> bool:
        if head.number <= as_of.number or self._connection.block_hash(as_of.number) != as_of.hash:
            return True
        logs = self._connection.logs(self._address, [], as_of.number + 1, head.number)
        return any(log.topics and log.topics[0] in self._topics for log in logs)
