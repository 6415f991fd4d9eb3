"""How a node reads its ledger: an external chain through its RPC node; an embedded one from a copy of its own.

The file that ``node.toml`` names as ``embedded:PATH`` is where blocks *come from*; a node with a relay asks the relay instead, and
needs no such file. The node executes them into
``chain/ledger.sqlite`` in its folder, and decides on that copy alone, as far as enough members co-signed it
(:mod:`ledger.following`). The members' checkpoints lie beside the source, in ``checkpoints/``, or at the relay.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clients.node.relay_client import RelayBlocks, RelayBoard, RelayClient
from ledger.address import EMBEDDED, LedgerAddress, check_pinned, open_chain
from ledger.board import FolderBoard
from ledger.chain.embedded.executed import ExecutedBlocks
from ledger.chain.embedded.source import BlockSource, FileSource
from ledger.checkpoints import CheckpointBoard
from ledger.errors import ChainUnreachable
from ledger.following import FILES, PATIENCE_S, Following, Pace
from ledger.papers import PublicFolder
from ledger.reader import LedgerReader
from ledger.signer import Signer
from ledger.standing import COPY, SEEN
from ledger.watching_reader import WatchingReader

EXTERNAL_PATIENCE_S = 240.0
"""How long a decision waits for the node of an external chain to come back, in seconds; nothing is revealed meanwhile. A chain may
be down for some minutes; the glue waits for its answer for five (``clients.door.CALL_TIMEOUT_S``)."""

BEHIND_S = 15.0
"""How long a record that the coordinator speaks of may take to come to the node of an external chain, in seconds."""

RELAY_PATIENCE_S = 240.0
"""How long a decision, and the first start of a node, wait for the relay and for checkpoints that come over it; for the same reason."""
RELAY_PACE = Pace(look_s=0.25, wait_s=20.0)
"""A relay lets a member make twenty calls a second."""

log = logging.getLogger("suture.node")


@dataclass(frozen=True, kw_only=True)
class LedgerAccess:
    """A node's open ledger.

    Attributes:
        reader: Reads it; of an embedded chain, what is final.
        settle: Comes before a decision: makes what is new readable, or raises.
        close: Lets go of it.
        following: The copy of an embedded chain; None on an external one.
        behind_s: By how much it may be behind what the coordinator reads, in seconds: an external chain has many nodes.
    """

    reader: LedgerReader
    settle: Callable[[], None]
    close: Callable[[], None]
    following: Following | None = None
    behind_s: float = 0.0

    def stop(self) -> None:
        """Have a decision that waits for others' checkpoints fail soon."""
        if self.following is not None:
            self.following.stop()


class _NotingBoard:
    """A board that tells of what is published before it is."""

    def __init__(self, board: CheckpointBoard, note: Callable[[bytes], None]) -> None:
        self._board, self._note = board, note

    def publish(self, checkpoint: bytes) -> None:
        self._note(checkpoint)
        self._board.publish(checkpoint)

    def checkpoints(self) -> Sequence[bytes]:
        return self._board.checkpoints()


def _say_away(reason: str, seconds: float) -> None:
    log.warning("the ledger's node has been away for %d s (%s); waiting for it", seconds, reason)


def open_external(address: LedgerAddress) -> LedgerAccess:
    """Open a chain behind an RPC node; it must hold the pinned contract.

    Raises:
        LedgerError: It is another chain or contract, or does not answer.
    """
    connection, close = open_chain(
        address.chain, address.chain_id, write=False, patience_s=EXTERNAL_PATIENCE_S, waiting=_say_away
    )
    reader = WatchingReader(connection, bytes.fromhex(address.contract), confirmations=address.confirmations)
    try:
        check_pinned(address, reader, connection)
    except BaseException:
        close()
        raise
    return LedgerAccess(reader=reader, settle=lambda: None, close=close, behind_s=BEHIND_S)


def at_hand(address: LedgerAddress, folder: Path) -> LedgerAddress:
    """Return where commands read a ledger: of an embedded chain whose file is on another machine, the copy in ``folder``.

    A node with a relay has no such file; what it copied is what it executed itself, up to where it runs.
    """
    copy, path = folder / COPY, address.path
    if path is None or path.is_file() or not copy.is_file():
        return address
    return replace(address, chain=f"{EMBEDDED}{copy.resolve()}")


def board_at_hand(address: LedgerAddress, folder: Path) -> CheckpointBoard:
    """Return the board beside an embedded chain's file; where that is on another machine, what the node saw of it."""
    path = address.path
    if path is None or not path.is_file():
        return FolderBoard(folder / SEEN)
    return FolderBoard(PublicFolder(path.parent).checkpoints)


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
    executed: ExecutedBlocks | None = None,
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
        executed=executed,
    )


def follow_over_relay(
    address: LedgerAddress,
    folder: Path,
    account: Signer | None,
    relay: RelayClient,
    *,
    clock: Callable[[], int],
    wanted: int = 0,
    patience_s: float = RELAY_PATIENCE_S,
    note: Callable[[bytes], None] = lambda checkpoint: None,
    me: bytes | None = None,
) -> LedgerAccess:
    """Follow an embedded chain over a relay; arguments and errors are those of :func:`follow`.

    A node that has no copy yet waits for the relay, up to ``patience_s``.
    """
    end, said = time.monotonic() + patience_s, False
    while True:
        try:
            return follow(
                address,
                folder,
                account,
                source=RelayBlocks(relay),
                board=RelayBoard(relay),
                close_source=lambda: None,
                clock=clock,
                wanted=wanted,
                patience_s=patience_s,
                note=note,
                me=me,
                pace=RELAY_PACE,
            )
        except ChainUnreachable as error:
            if time.monotonic() > end:
                raise
            if not said:
                log.warning("waiting for the relay: %s", error)
                said = True
        time.sleep(RELAY_PACE.look_s)


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
    pace: Pace = FILES,
    executed: ExecutedBlocks | None = None,
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
        pace: How often source and board are asked.
        executed: Where results are shared with other followers in this process.

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
        pace=pace,
        executed=executed,
    )
    try:
        check_pinned(address, LedgerReader(following.everything, contract), following.everything)
    except BaseException:
        following.close()
        raise
    reader = WatchingReader(following.reading, contract, confirmations=address.confirmations)
    return LedgerAccess(reader=reader, settle=following.settle, close=following.close, following=following)
