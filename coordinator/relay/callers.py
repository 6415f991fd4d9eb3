"""Whose calls the relay takes: holders of the ledger, by the key that is registered for them now."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from fl_core.errors import DecodeError
from ledger.errors import ChainUnreachable, LedgerError
from ledger.reader import LedgerReader
from ledger.records import Role

AWAY_S = 5.0
"""For how long nobody asks a ledger that did not answer: else every caller would wait for it, one after the other."""


class Callers:
    """Looks callers up. Safe for threads.

    Args:
        reader: Reads the ledger.
        clock: Seconds that never run backwards.
    """

    def __init__(self, reader: LedgerReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._asking = threading.Lock()
        self._away_until = float("-inf")

    @property
    def ledger(self) -> tuple[int, bytes]:
        """Chain id and contract of the ledger."""
        return self._reader.chain_id, self._reader.address

    def signer_of(self, member: bytes) -> bytes | None:
        """Return the address whose signatures count for ``member``; None for whoever is no holder.

        Raises:
            ChainUnreachable: The ledger does not answer now.
        """
        with self._asking:
            if self._clock() < self._away_until:
                raise ChainUnreachable("The ledger did not answer a moment ago.")
            try:
                if Role.HOLDER not in self._reader.member(member).roles:
                    return None
                return self._reader.keys(member).signer
            except (ChainUnreachable, DecodeError) as error:
                self._away_until = self._clock() + AWAY_S
                raise ChainUnreachable("The ledger does not answer.") from error
            except LedgerError:
                return None
