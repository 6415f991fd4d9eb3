"""Finds out which Flower node belongs to which account of the ledger, and learns the nodes' prekeys."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from coordinator.engines.exchange import connected, exchange
from coordinator.errors import CoordinatorError
from fl_core.codec import read_json
from fl_core.errors import DecodeError
from fl_core.protocol import envelope
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.protocol.statements import ADDRESS_SIZE

POLL_S = 0.25
MAX_STATUS = 1 << 14  # bytes
ATTEMPTS = 3
"""How often a node that does not answer is asked; a node that is just starting may need a second time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a node says of itself: account, registered transport key or nothing, prekey for its next round if it follows a ledger."""

    account: bytes
    prekey: SignedPrekey | None
    transport: bytes = b""


def wait_for_nodes(
    grid: Grid,
    count: int,
    *,
    deadline_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[int]:
    """Wait until ``count`` nodes are connected and return their Flower ids.

    Raises:
        CoordinatorError: They were not there in time.
    """
    end = clock() + deadline_s
    while len(nodes := connected(grid)) < count:
        if clock() > end:
            raise CoordinatorError(
                f"{count} nodes are expected, {len(nodes)} are connected after {deadline_s:.0f} seconds.",
                fix="Look at the nodes' logs: is the coordinator's address right, and can they reach it?",
            )
        sleep(POLL_S)
    return nodes


def enrol(
    grid: Grid,
    nodes: Iterable[int],
    *,
    members: Container[bytes],
    deadline_s: float,
    told: Callable[[Status], None] = lambda status: None,
    genuine: Callable[[SignedPrekey], bool] = lambda prekey: False,
) -> tuple[dict[int, bytes], dict[bytes, SignedPrekey]]:
    """Ask each node for its account and its prekey.

    The answers as a whole are not signed: a node that claims a false account gains nothing, since only the account's key
    can sign a contribution or a prekey. Of several nodes that claim one account the one with its newest genuine prekey counts: others
    see a prekey with the header of a round that its holder began, who has a newer one then. Where that does not tell them apart, all are left out.

    Args:
        grid: Flower's grid.
        nodes: Flower node ids.
        members: Accounts that may take part.
        deadline_s: How long to wait.
        told: Called with what each of the nodes that are returned said.
        genuine: Tells whether a prekey is signed by its member's registered key.

    Returns:
        Flower node id -> account, for the nodes that answered with an account of a member; and account -> prekey, not
        checked yet, for those of them that have one.
    """
    claimed: dict[int, Status] = {}
    silent = set(nodes)
    for _ in range(ATTEMPTS):
        for node, status in _ask(grid, sorted(silent), deadline_s):
            silent.discard(node)
            if status is not None and status.account in members:
                claimed[node] = status
        if not silent:
            break
    unique = _one_each(claimed, genuine)
    for status in unique.values():
        told(status)
    accounts = {node: status.account for node, status in unique.items()}
    return accounts, {s.account: s.prekey for s in unique.values() if s.prekey is not None}


def _one_each(claimed: Mapping[int, Status], genuine: Callable[[SignedPrekey], bool]) -> dict[int, Status]:
    """Return one node for each account that is claimed, if it can be told."""
    found = {}
    for account in dict.fromkeys(status.account for status in claimed.values()):
        nodes = [node for node, status in claimed.items() if status.account == account]
        if len(nodes) > 1:
            epochs = {n: p.epoch for n in nodes if (p := claimed[n].prekey) is not None and genuine(p)}
            nodes = [node for node, epoch in epochs.items() if epoch == max(epochs.values())]
        if len(nodes) == 1:
            found[nodes[0]] = claimed[nodes[0]]
    return found


def learn_prekey(prekeys: dict[bytes, SignedPrekey], account: bytes, reply: Message) -> None:
    """Take the next round's prekey from a reply; one that is older or of somebody else is ignored."""
    _take_newer(prekeys, account, _status(reply))


def newer_prekey(prekeys: dict[bytes, SignedPrekey], account: bytes, status: bytes) -> None:
    """Take the prekey in a status that a member told the relay; one that is older or of somebody else is ignored."""
    _take_newer(prekeys, account, _read_status(status))


def _take_newer(prekeys: dict[bytes, SignedPrekey], account: bytes, status: Status | None) -> None:
    if status is None or status.prekey is None or status.account != account:
        return
    known = prekeys.get(account)
    if known is None or status.prekey.epoch > known.epoch:
        prekeys[account] = status.prekey


def _ask(grid: Grid, nodes: Iterable[int], deadline_s: float) -> Iterator[tuple[int, Status | None]]:
    """Yield the nodes that answer, and what each says of itself."""
    messages = [
        Message(
            RecordDict({envelope.CONTROL: ConfigRecord({})}),
            dst_node_id=node,
            message_type=envelope.ENROL_TYPE,
        )
        for node in nodes
    ]
    for answer in exchange(grid, messages, deadline_s=deadline_s):
        if answer.reply is not None:
            yield answer.node_id, _status(answer.reply)


def _status(reply: Message) -> Status | None:
    """Return what a node says of itself, or None when its answer has no such form."""
    record = reply.content.config_records.get(envelope.CONTROL)
    status = None if record is None else record.get(envelope.STATUS)
    return _read_status(status) if isinstance(status, bytes) else None


def _read_status(status: bytes) -> Status | None:
    try:
        values = read_json(status, limit=MAX_STATUS, what="status")
        if not isinstance(values, dict):
            return None
        account = bytes.fromhex(values["account"])
        transport = bytes.fromhex(values.get("transport", ""))
        prekey = SignedPrekey.decode(bytes.fromhex(values["prekey"])) if "prekey" in values else None
    except (KeyError, ValueError, TypeError, DecodeError):
        return None
    mine = prekey is None or prekey.member == account
    good = len(account) == ADDRESS_SIZE and mine
    return Status(account=account, prekey=prekey, transport=transport) if good else None
