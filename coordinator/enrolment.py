"""Finds out which Flower node belongs to which account of the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from coordinator.engines.exchange import exchange
from coordinator.errors import CoordinatorError
from fl_core.codec import read_json
from fl_core.errors import DecodeError
from fl_core.protocol import envelope
from fl_core.protocol.statements import ADDRESS_SIZE

POLL_S = 0.25
MAX_STATUS = 1 << 14  # bytes
ATTEMPTS = 3
"""How often a node that does not answer is asked; a node that is just starting may need a second time."""


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
    while len(nodes := list(grid.get_node_ids())) < count:
        if clock() > end:
            raise CoordinatorError(
                f"{count} nodes are expected, {len(nodes)} are connected after {deadline_s:.0f} seconds.",
                fix="Look at the nodes' logs: is the coordinator's address right, and can they reach it?",
            )
        sleep(POLL_S)
    return nodes


def enrol(
    grid: Grid, nodes: Iterable[int], *, members: Container[bytes], deadline_s: float
) -> dict[int, bytes]:
    """Ask each node for its account.

    The answers are not signed: a node that claims a false account gains nothing, since only the account's key can sign a
    contribution; two nodes that claim the same account are both left out.

    Args:
        grid: Flower's grid.
        nodes: Flower node ids.
        members: Accounts that may take part.
        deadline_s: How long to wait.

    Returns:
        Flower node id -> account, for the nodes that answered with an account of a member.
    """
    claimed: dict[int, bytes] = {}
    silent = set(nodes)
    for _ in range(ATTEMPTS):
        for node, account in _ask(grid, sorted(silent), deadline_s):
            silent.discard(node)
            if account is not None and account in members:
                claimed[node] = account
        if not silent:
            break
    claims = list(claimed.values())
    return {node: account for node, account in claimed.items() if claims.count(account) == 1}


def _ask(grid: Grid, nodes: Iterable[int], deadline_s: float) -> Iterator[tuple[int, bytes | None]]:
    """Yield the nodes that answer, and the account that each claims."""
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
            yield answer.node_id, _account(answer.reply)


def _account(reply: Message) -> bytes | None:
    """Return the account that a node claims, or None when its answer has no such form."""
    try:
        status = reply.content.config_records[envelope.CONTROL]["status"]
        values = read_json(status, limit=MAX_STATUS, what="status") if isinstance(status, bytes) else None
        account = bytes.fromhex(values["account"]) if isinstance(values, dict) else b""
    except (KeyError, ValueError, TypeError, DecodeError):
        return None
    return account if len(account) == ADDRESS_SIZE else None
