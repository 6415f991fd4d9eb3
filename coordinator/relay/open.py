"""Opens a run's folder for the relay: read-only but for the duties and the members' checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from coordinator.relay.callers import Callers
from coordinator.relay.rate import Rate
from coordinator.relay.server import Relay
from coordinator.run_chain import external_ledger
from coordinator.store.duties import Duties
from fl_core.errors import InputError
from ledger.address import LedgerAddress, check_pinned, find_ledger, open_chain, run_paper
from ledger.archive import Archive
from ledger.board import FolderBoard
from ledger.chain.embedded.source import FileSource
from ledger.papers import PublicFolder
from ledger.reader import LedgerReader
from ledger.watching_reader import WatchingReader


@contextmanager
def open_relay(folder: Path, ledger: Path | None = None) -> Iterator[Relay]:
    """Open the relay of the run in ``folder``.

    On an embedded chain it hands out blocks, too. On a JSON-RPC node's chain it carries duties, answers and archived bytes only:
    there every member reads a node of its own.

    Args:
        folder: The run's folder.
        ledger: The consortium's ``ledger.toml``; needed before the run is launched, when nodes follow the chain and consent.

    Raises:
        InputError: It is no run's folder, or its run is on another ledger.
        LedgerError: Its chain cannot be opened, or is not the pinned one.
        RunStateError: The file with the duties is damaged.
    """
    public, private = PublicFolder(folder / "public"), folder / "coordinator"
    address = _address(public, private, ledger)
    contract = bytes.fromhex(address.contract)
    with ExitStack() as stack:
        # no patience: while a node is away callers are told at once, and come again
        connection, close = open_chain(address.chain, address.chain_id, write=False, patience_s=0.0)
        stack.callback(close)
        check_pinned(address, LedgerReader(connection, contract), connection)
        blocks = None if address.path is None else FileSource(public.chain)
        if blocks is not None:
            stack.callback(blocks.close)
        private.mkdir(mode=0o700, exist_ok=True)
        duties = Duties(private)
        stack.callback(duties.close)
        yield Relay(
            duties=duties,
            callers=Callers(WatchingReader(connection, contract)),
            archive=Archive(public.archive),
            blocks=blocks,
            board=FolderBoard(public.checkpoints),
            rate=Rate(),
        )


def _address(public: PublicFolder, private: Path, ledger: Path | None) -> LedgerAddress:
    """Return the ledger of a run that is launched, or of one that will be."""
    folder, launched = public.path.parent, public.run.is_file()
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder}.", fix="Name the run's folder; before the launch make it."
        )
    if ledger is None and not launched:
        raise InputError(
            f"{folder} is not the folder of a run.",
            fix="Before the launch name the consortium's ledger with --ledger.",
        )
    paper = run_paper(public) if launched else None
    external = None if paper is None else external_ledger(private, paper)
    address = find_ledger(ledger) if ledger is not None else external or find_ledger(public.path)
    if paper is not None and (address.chain_id, address.contract) != (paper.chain_id, paper.contract):
        raise InputError(
            f"the ledger is {address}, the run is on contract 0x{paper.contract} on chain {paper.chain_id}.",
            fix="Name the folder of a run on this ledger, or the ledger of this run.",
        )
    if address.path is not None and address.path.resolve() != public.chain.resolve():
        raise InputError(
            f"the relay serves the chain {public.chain}, the ledger is {address}.",
            fix="Name the folder whose public/ledger.sqlite is the chain.",
        )
    return address
