"""A persistent EVM chain inside the process: py-evm over one sqlite file, one block per transaction.

For demonstrations, tests and small consortia whose members follow and re-execute the coordinator's blocks. The parts:

* :mod:`.store`: the file; :mod:`.lock`: one writer; :mod:`.database`: the file as py-evm sees it
* :mod:`.evm`: genesis, one transaction to one block; :mod:`.node`: the open chain
* :mod:`.provider`, :mod:`.wire`, :mod:`.proof`: the JSON-RPC answers
* :mod:`.replay`: execute everything again and compare
"""

from __future__ import annotations

import time
from pathlib import Path

from fl_core.errors import InputError
from ledger.chain.embedded import evm
from ledger.chain.embedded.node import Clock
from ledger.chain.embedded.provider import EmbeddedChain
from ledger.chain.embedded.replay import ReplayReport, replay
from ledger.chain.embedded.store import Store
from ledger.errors import WrongChain

__all__ = ["Clock", "EmbeddedChain", "ReplayReport", "open_embedded", "replay", "system_clock"]


def system_clock() -> int:
    """Return the time in Unix seconds."""
    return int(time.time())


def open_embedded(
    path: Path,
    *,
    chain_id: int,
    read_only: bool = False,
    clock: Clock = system_clock,
    genesis_time: int | None = None,
) -> EmbeddedChain:
    """Open the chain in ``path``; a writer creates it when it is new.

    A reader works beside a writer and sees each new block at once; it leaves a sealed file and its folder as they are.

    Args:
        path: The file.
        chain_id: Which chain it must be, or becomes.
        read_only: Open for reading only.
        clock: Time of new blocks, in Unix seconds.
        genesis_time: Time of block 0, checked on an existing chain; by default the clock's when the chain is made.

    Raises:
        ChainBusy: Another writer has it.
        WrongChain: It is another chain, or no chain.
        InputError: Reading, and there is nothing to read.
        StoreCorrupt: The file is damaged.
    """
    path = Path(path)
    store = Store.open_reader(path) if read_only else Store.open_writer(path)
    try:
        found = store.genesis()
        if found is None:
            if read_only:
                raise InputError(f"The chain {path} has no block yet.", fix="Open it once for writing.")
            found = (chain_id, clock() if genesis_time is None else genesis_time)
            store.create(*found, evm.genesis_writes(evm.Genesis(chain_id=found[0], timestamp=found[1])))
        genesis = evm.Genesis(chain_id=found[0], timestamp=found[1])
        _check_genesis(path, genesis, chain_id, genesis_time)
    except BaseException:
        store.close()
        raise
    return EmbeddedChain(store, genesis, clock)


def _check_genesis(path: Path, genesis: evm.Genesis, chain_id: int, genesis_time: int | None) -> None:
    if genesis.chain_id != chain_id:
        raise WrongChain(
            f"The chain {path} has id {genesis.chain_id}, asked for was {chain_id}.",
            fix="Give the right file or the right chain id.",
        )
    if genesis_time is not None and genesis.timestamp != genesis_time:
        raise WrongChain(
            f"The chain {path} began at {genesis.timestamp}, asked for was {genesis_time}.",
            fix="Give the right file or the right time.",
        )
