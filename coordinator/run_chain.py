"""Opens the chain of a run for its coordinator: the file in the public folder, or the node that the private ``ledger.toml`` names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fl_core.errors import InputError
from ledger.address import FILE as LEDGER_FILE
from ledger.address import LedgerAddress, check_pinned, find_ledger
from ledger.chain.connection import Web3Connection
from ledger.chain.embedded import EmbeddedChain, open_embedded
from ledger.chain.ports import Waiting
from ledger.papers import PublicFolder, RunPaper
from ledger.reader import LedgerReader

RECEIPT_S = 60.0
"""How long a block of an embedded chain may take, in seconds."""
LEDGER_PATIENCE_S = 600.0
"""How long an external chain may be away, or take no transaction, before the run gives up, in seconds; it can then be resumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChain:
    """An open chain.

    Attributes:
        connection: Asks it.
        embedded: The embedded chain, open for writing; None where the ledger is on an external chain.
        confirmations: How many blocks deep something must be to count.
        patience_s: How long a transaction may be in no block, in seconds.
    """

    connection: Web3Connection
    embedded: EmbeddedChain | None
    confirmations: int = 1
    patience_s: float = RECEIPT_S


def external_ledger(private: Path, paper: RunPaper) -> LedgerAddress | None:
    """Return where a run's ledger is; None where it is the embedded chain in the public folder.

    Args:
        private: The coordinator's private folder.
        paper: The run's paper.

    Raises:
        InputError: The private ``ledger.toml`` names another ledger than the run's paper.
    """
    file = private / LEDGER_FILE
    if not file.exists():
        return None
    address = find_ledger(file)
    if (address.chain_id, address.contract) != (paper.chain_id, paper.contract):
        raise InputError(
            f"{file} names the {address}; the run is on contract 0x{paper.contract} on chain {paper.chain_id}.",
            fix="Only `chain` may be changed there, to another node of the same chain.",
        )
    return address


def open_run_chain(
    public: PublicFolder,
    paper: RunPaper,
    external: LedgerAddress | None,
    *,
    clock: Callable[[], int],
    waiting: Waiting,
) -> RunChain:
    """Open a run's chain. A node that is away is waited for: nothing is lost meanwhile.

    Args:
        public: The run's public folder.
        paper: Its paper.
        external: What :func:`external_ledger` returned.
        clock: Unix time in seconds, for new blocks of an embedded chain.
        waiting: Told when a node is away for long.

    Raises:
        LedgerError: It is another chain or contract, busy, or away for too long.
    """
    if external is None:
        chain = open_embedded(public.chain, chain_id=paper.chain_id, clock=clock)
        return RunChain(connection=Web3Connection(chain), embedded=chain)
    connection = Web3Connection(
        external.chain, chain_id=paper.chain_id, patience_s=LEDGER_PATIENCE_S, waiting=waiting
    )
    check_pinned(external, LedgerReader(connection, bytes.fromhex(external.contract)), connection)
    return RunChain(
        connection=connection,
        embedded=None,
        confirmations=external.confirmations,
        patience_s=LEDGER_PATIENCE_S,
    )
