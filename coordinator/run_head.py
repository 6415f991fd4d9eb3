"""Reads the newest block of a run's ledger, without writing and without a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.metrics import Head
from fl_core.errors import DecodeError, InputError
from ledger.address import FILE, find_ledger, open_chain
from ledger.errors import LedgerError
from ledger.papers import PublicFolder, RunPaper


@contextmanager
def open_head(folder: Path) -> Iterator[Callable[[], Head | None]]:
    """Yield what returns the newest block, and None while the ledger does not answer.

    Raises:
        InputError: ``folder`` is not the folder of a run.
        LedgerError: Its chain cannot be opened.
    """
    public = PublicFolder(folder / "public")
    try:
        paper = RunPaper.decode(public.run.read_bytes())
    except (OSError, DecodeError) as error:
        raise InputError(f"{folder} is not the folder of a run ({error}).") from error
    named = folder / "coordinator" / FILE
    chain = find_ledger(named).chain if named.exists() else f"embedded:{public.chain.resolve()}"
    connection, close = open_chain(chain, paper.chain_id, write=False)

    def head() -> Head | None:
        try:
            found = connection.head()
        except LedgerError:
            return None
        return Head(found.number, found.timestamp)

    try:
        yield head
    finally:
        close()
