"""Which app bundles the holder accepts: those that terms name to which it consents now, on the ledger."""

from __future__ import annotations

from collections.abc import Mapping

from fl_core.protocol.terms import Terms
from ledger.errors import ForkDetected
from ledger.reader import Cursor, LedgerReader


class AcceptedBundles:
    """One holder's accepted bundles.

    Withdrawing a consent shuts its bundle out from the next question on.

    Args:
        reader: Reads the ledger.
        account: The holder's account.
        terms: Terms documents that the holder accepted, by digest.
    """

    def __init__(self, reader: LedgerReader, account: bytes, terms: Mapping[bytes, Terms]) -> None:
        self._reader = reader
        self._account = account
        self._terms = terms
        self._cursor: Cursor | None = None
        self._runs: set[bytes] = set()

    def accepts(self, bundle: bytes) -> bool:
        """Return whether the holder consents now to a run whose terms name the bundle with this SHA-256.

        Raises:
            LedgerError: The ledger cannot be read.
        """
        named = {digest for digest, terms in self._terms.items() if terms.bundle == bundle.hex()}
        if not named:
            return False
        self._follow()
        return any(self._reader.consent(run, self._account) in named for run in self._runs)

    def _follow(self) -> None:
        """Learn of the runs that the holder ever consented to; from the start when the chain was reorganised."""
        try:
            events, self._cursor = self._reader.follow("Consent", self._cursor)
        except ForkDetected:
            self._runs.clear()
            events, self._cursor = self._reader.follow("Consent", None)
        self._runs.update(bytes(e.values["run"]) for e in events if e.values["holder"] == self._account)
