"""Blocks that were executed lately: several followers in one process execute a block once between them.

What a block makes follows from its parent, its transaction and its time alone (:func:`.evm.seal`), and a follower has the state
that its parent's header names. So the followers of the hospitals that `suture demo` runs in one process would compute the same
thing four times, under one interpreter lock, where four machines would do it at once. They still trust no author: the chain's
writer neither reads from here nor writes to it. A node that has its machine for itself has nobody to share with (ADR 0020).
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from eth.abc import SignedTransactionAPI

from ledger.chain.embedded import evm
from ledger.chain.embedded.database import Get

KEPT = 8
"""Blocks; followers in one process are rarely further apart. One is a few dozen kilobytes."""

_Inputs = tuple[bytes, int, bytes, int]


class ExecutedBlocks:
    """Executes blocks and remembers the newest results. Safe for threads.

    Args:
        kept: How many results are remembered; 0 for none.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._found: OrderedDict[_Inputs, evm.Sealed] = OrderedDict()
        self._lock = threading.Lock()

    def seal(
        self, get: Get, chain_id: int, parent: bytes, transaction: SignedTransactionAPI, timestamp: int
    ) -> evm.Sealed:
        """Return what :func:`.evm.seal` returns, from memory if it was asked for the same block lately.

        Args:
            get: The chain so far, which ends with ``parent``.
            chain_id: Of the chain.
            parent: Hash of the newest block, 32 bytes. It fixes the state.
            transaction: From :func:`.evm.decode_transaction`.
            timestamp: Of the block.

        Raises:
            InvalidTransaction: As for :func:`.evm.seal`; refusals are not remembered.
        """
        inputs = (parent, chain_id, transaction.encode(), timestamp)
        with self._lock:  # whoever wants the same block meanwhile waits for this result
            sealed = self._found.get(inputs)
            if sealed is None:
                sealed = evm.seal(get, chain_id, transaction, timestamp)
                self._found[inputs] = sealed
                if len(self._found) > self._kept:
                    self._found.popitem(last=False)
            return sealed
