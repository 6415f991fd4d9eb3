"""How a node reads its ledger: an external chain through its RPC node; an embedded one from a copy of its own.

The file that ``node.toml`` names as ``embedded:PATH`` is where blocks *come from*. The node executes them into
``chain/ledger.sqlite`` in its folder, and decides on that copy alone, as far as enough members co-signed it
(:mod:`ledger.following`). The members' checkpoints lie beside the source, in ``checkpoints/``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger.address import LedgerAddress, check_pinned, open_chain
from ledger.board import FolderBoard
from ledger.chain.embedded.source import BlockSource, FileSource
from ledger.checkpoints import CheckpointBoard
from ledger.following import PATIENCE_S, Following
from ledger.papers import PublicFolder
from ledger.reader import LedgerReader
from ledger.signer import Signer
from ledger.watching_reader import WatchingReader

EXTERNAL_PATIENCE_S = 60.0
"""How long a decision waits for the node of an external chain to come back, in seconds; nothing is revealed meanwhile."""


@dataclass(frozen=True, kw_only=True)
class LedgerAccess:
    """A node's open ledger.

    Attributes:
        reader: Reads it; of an embedded chain, what is final.
        settle: Comes before a decision: makes what is new readable, or raises.
        close: Lets go of it.
        following: The copy of an embedded chain; None on an external one.
    """

    reader: LedgerReader
    settle: Callable[[], None]
    close: Callable[[], None]
    following: Following | None = None


class _NotingBoard:
    """A board that tells of what is published before it is."""

    def __init__(self, board: CheckpointBoard, note: Callable[[bytes], None]) -> None:
        self._board, self._note = board, note

    def publish(self, checkpoint: bytes) -> None:
        self._note(checkpoint)
        self._board.publish(checkpoint)

    def checkpoints(self) -> Sequence[bytes]:
        return self._board.checkpoints()


def open_external(address: LedgerAddress) -> LedgerAccess:
    """Open a chain behind an RPC node; it must hold the pinned contract.

    Raises:
        LedgerError: It is another chain or contract, or does not answer.
    """
    connection, close = open_chain(
        address.chain, address.chain_id, write=False, patience_s=EXTERNAL_PATIENCE_S
    )
    reader = WatchingReader(connection, bytes.fromhex(address.contract), confirmations=address.confirmations)
    try:
        check_pinned(address, reader, connection)
    except BaseException:
        close()
        raise
    return LedgerAccess(reader=reader, settle=lambda: None, close=close)


def follow_embedded(
    address: LedgerAddress,
    folder: Path,
    account: Signer | None,
    *,
    clock: Callable[[], int],
    wanted: int = 0,
    patience_s: float = PATIENCE_S,
    note: Callable[[bytes], None] = lambda checkpoint: None,
    me: bytes | None = None,
) -> LedgerAccess:
    """Follow the chain file that ``address`` names; arguments and errors are those of :func:`follow`.

    Raises:
        InputError: There is no such file.
    """
    path = address.path
    assert path is not None, "an embedded chain has a path"
    source = FileSource(path)
    return follow(
        address,
        folder,
        account,
        source=source,
        board=FolderBoard(PublicFolder(path.parent).checkpoints),
        close_source=source.close,
        clock=clock,
        wanted=wanted,
        patience_s=patience_s,
        note=note,
        me=me,
    )


def follow(
    address: LedgerAddress,
    folder: Path,
    account: Signer | None,
    *,
    source: BlockSource,
    board: CheckpointBoard,
    close_source: Callable[[], None],
    clock: Callable[[], int],
    wanted: int = 0,
    patience_s: float = PATIENCE_S,
    note: Callable[[bytes], None] = lambda checkpoint: None,
    me: bytes | None = None,
) -> LedgerAccess:
    """Follow an embedded chain into ``folder``, wherever its blocks come from; it must hold the pinned contract.

    Args:
        address: What is pinned.
        folder: Where the copy lives.
        account: Signs checkpoints; None to only look.
        source: Where blocks come from.
        board: Where members' checkpoints are.
        close_source: Lets go of the source, and ends waiting for it.
        clock: Unix time in seconds.
        wanted: How many checkpoints make a block final; 0 for the default, see :mod:`ledger.finality`.
        patience_s: How long a decision waits for them, in seconds.
        note: Told each checkpoint of this node before it is published.
        me: The member, where another key than its account's signs for it.

    Raises:
        LedgerError: It is another chain or contract, or was refused.
    """
    contract = bytes.fromhex(address.contract)
    following = Following(
        folder,
        chain_id=address.chain_id,
        contract=contract,
        source=source,
        board=_NotingBoard(board, note),
        member=None if account is None else (me or account.address, account),
        clock=clock,
        wanted=wanted,
        patience_s=patience_s,
        close_source=close_source,
    )
    try:
        check_pinned(address, LedgerReader(following.everything, contract), following.everything)
    except BaseException:
        following.close()
        raise
    reader = WatchingReader(following.reading, contract, confirmations=address.confirmations)
    return LedgerAccess(reader=reader, settle=following.settle, close=following.close, following=following)
