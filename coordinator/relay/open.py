"""Opens a run's folder for the relay: read-only but for the duties and the members' checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from coordinator.relay.rate import Rate
from coordinator.relay.server import Relay
from coordinator.store.duties import Duties
from fl_core.errors import DecodeError, InputError
from ledger.address import open_chain
from ledger.archive import Archive
from ledger.board import FolderBoard
from ledger.chain.embedded.source import FileSource
from ledger.papers import PublicFolder, RunPaper
from ledger.watching_reader import WatchingReader


@contextmanager
def open_relay(folder: Path) -> Iterator[Relay]:
    """Open the relay of the run in ``folder``.

    Raises:
        InputError: It is no run's folder.
        LedgerError: Its chain cannot be opened.
        RunStateError: The file with the duties is damaged.
    """
    public = PublicFolder(folder / "public")
    try:
        paper = RunPaper.decode(public.run.read_bytes())
    except (OSError, DecodeError) as error:
        raise InputError(f"{folder} is not the folder of a run ({error}).") from error
    with ExitStack() as stack:
        connection, close = open_chain(f"embedded:{public.chain.resolve()}", paper.chain_id, write=False)
        stack.callback(close)
        blocks = FileSource(public.chain)
        stack.callback(blocks.close)
        duties = Duties(folder / "coordinator")
        stack.callback(duties.close)
        yield Relay(
            duties=duties,
            reader=WatchingReader(connection, bytes.fromhex(paper.contract)),
            archive=Archive(public.archive),
            blocks=blocks,
            board=FolderBoard(public.checkpoints),
            rate=Rate(),
        )
