"""A SuperLink's nodes beside the ledger's holders: who is connected, since when, and who consents to the run.

Flower knows keys, the ledger knows accounts. They are brought together by what a run's coordinator learnt when its nodes enrolled (the event
``enrolled``); before that by the name of the key file, which is for people. Neither is a proof: a contribution is, by its signature.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from coordinator.engines.control import FlowerControl, SuperNode
from coordinator.engines.superlink_service import enrolled_keys
from coordinator.errors import EngineError
from coordinator.launch.state import LaunchFolder, LaunchState
from coordinator.store.duties import FILE as DUTIES
from coordinator.store.duties import Duties
from coordinator.store.events import EventTail
from ledger.address import find_ledger
from ledger.records import EMPTY_WORD, Role
from ledger.views.members import ever_members
from ledger.views.window import Window, look, utc


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A holder, a node, or both.

    Attributes:
        account: The holder's account; empty for a node whose holder is not known yet.
        name: For people: the holder's, or that of the key file.
        consents: Whether the holder consents to the run now.
        keys: Whether it has registered keys.
        relay: When it called the relay last, in UTC; empty if never.
        node: Flower's id of its node; empty where it is not known.
        status: ``online``, ``offline``, ``registered`` (never connected), or empty.
        since: Since when, in UTC.
    """

    account: str
    name: str
    consents: bool
    keys: bool
    relay: str
    node: str
    status: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The rows, and why the SuperLink could not be asked (empty where it could)."""

    rows: tuple[Row, ...]
    away: str


def nodes_of(folder: LaunchFolder) -> Nodes:
    """Look at the ledger's holders and at the SuperLink's nodes; changes nothing.

    Raises:
        InputError: The folder holds no launched run.
        LedgerError: The ledger does not answer.
    """
    state = folder.read()
    nodes: dict[str, SuperNode] = {}
    away = ""
    try:
        nodes = {one.number: one for one in FlowerControl(Path(state.superlink)).nodes()}
    except EngineError as error:
        away = error.message
    accounts = _accounts(folder.path)
    by_account = {account: nodes.pop(node) for node, account in accounts.items() if node in nodes}
    seen = _seen(folder.path)
    with look(find_ledger(Path(state.ledger)), Window, as_json=False) as window:
        holders = [_holder(window, state, account, by_account, seen) for account in _holders(window)]
    keys = enrolled_keys(Path(state.superlink))
    strangers = [_stranger(one, keys.get(one.number, "")) for one in nodes.values()]
    return Nodes(rows=(*holders, *strangers), away=away)


def _holders(window: Window) -> list[bytes]:
    return [a for a in ever_members(window) if Role.HOLDER in window.reader.member(a).roles]


def _holder(
    window: Window, state: LaunchState, account: bytes, nodes: dict[bytes, SuperNode], seen: dict[bytes, int]
) -> Row:
    node = nodes.get(account)
    return Row(
        account=f"0x{account.hex()}",
        name=state.names.get(account.hex(), "") or window.names.get(account, ""),
        consents=window.reader.consent(bytes.fromhex(state.run), account) != EMPTY_WORD,
        keys=window.reader.member(account).epoch > 0,
        relay=utc(seen[account]) if account in seen else "",
        node="" if node is None else node.number,
        status="" if node is None else node.status,
        since="" if node is None else node.since,
    )


def _stranger(node: SuperNode, key: str) -> Row:
    return Row(
        account="", name=key, consents=False, keys=False, relay="", node=node.number, status=node.status, since=node.since
    )  # fmt: skip


def _accounts(folder: Path) -> dict[str, bytes]:
    """Return Flower node id -> account as the newest enrolments said."""
    found: dict[str, bytes] = {}
    for event in EventTail(folder / "coordinator" / "events.jsonl").new():
        if event["event"] == "enrolled" and isinstance(event.get("nodes"), dict):
            found |= {node: bytes.fromhex(account) for node, account in event["nodes"].items()}
    return found


def _seen(folder: Path) -> dict[bytes, int]:
    """Return when each member called the relay last, in Unix seconds."""
    private = folder / "coordinator"
    if not (private / DUTIES).is_file():
        return {}
    with closing(Duties(private)) as duties:
        return {member: one.seen for member, one in duties.members().items()}
