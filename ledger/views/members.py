"""Who the members are, with which roles and keys, and which keys they had before."""

from __future__ import annotations

from typing import Any

from ledger.fingerprint import fingerprint, keys_fingerprint
from ledger.reader import Event
from ledger.records import Member, Role
from ledger.views.window import Answer, Window, facts, role_names, table


def ever_members(window: Window) -> list[bytes]:
    """Return every account that was ever admitted, in the order of its first admission."""
    admitted = window.reader.events("MemberAdmitted")
    return list(dict.fromkeys(bytes(event.values["member"]) for event in admitted))


def members(window: Window) -> Answer:
    """List the members of today, the threshold, and whether the ledger is paused."""
    found = [window.reader.member(account) for account in ever_members(window)]
    current = sorted((m for m in found if m.roles), key=lambda m: (m.since, m.address))
    threshold, paused, era = window.reader.threshold(), window.reader.paused(), window.reader.era()
    rows = [["account", "roles", "keys", "since block"]] + [
        [
            window.name(m.address),
            ",".join(role_names(m.roles)),
            str(m.epoch) if m.epoch else "none",
            str(m.since),
        ]
        for m in current
    ]
    data = {
        "contract": f"0x{window.address.contract}",
        "chain_id": window.address.chain_id,
        "threshold": threshold,
        "era": era,
        "paused": paused,
        "members": [_as_json(window, m) for m in current],
    }
    state = "PAUSED: no new work until the members vote for UNPAUSE" if paused else "not paused"
    note = f"{len(current)} members; an act needs {threshold} votes; {state}."
    return Answer(data, [*table(rows), "", note])


def member(window: Window, account: bytes) -> Answer:
    """Show one account: roles, keys now and before, admissions and removals."""
    found = window.reader.member(account)
    keys = key_history(window, account)
    moves = [
        {"event": kind, "block": event.block_number, "time": window.time(event.block_number)}
        for kind, name in (("admitted", "MemberAdmitted"), ("removed", "MemberRemoved"))
        for event in window.reader.events(name)
        if event.values["member"] == account
    ]
    moves.sort(key=lambda move: int(str(move["block"])))
    data = _as_json(window, found) | {"fingerprint": fingerprint(account), "history": moves, "keys": keys}
    lines = facts({
        "account": window.name(account),
        "fingerprint": fingerprint(account),
        "roles": ", ".join(role_names(found.roles)) or "none: not a member",
        "key sets": len(keys) or "none",
    })  # fmt: skip
    lines += [f"{move['event']} in block {move['block']}, {move['time']}" for move in moves]
    return Answer(data, lines + key_lines(keys))


def key_history(window: Window, account: bytes) -> list[dict[str, Any]]:
    """Return every key set of an account, oldest first."""
    epoch = window.reader.member(account).epoch
    found = (window.reader.keys_at(account, number) for number in range(1, epoch + 1))
    return [
        {
            "number": keys.epoch,
            "signer": f"0x{keys.signer.hex()}",
            "transport": keys.encryption.hex(),
            "fingerprint": keys_fingerprint(keys.signer, keys.encryption),
            "block": keys.block,
            "time": window.time(keys.block),
            "current": keys.epoch == epoch,
        }
        for keys in found
    ]


def key_lines(keys: list[dict[str, Any]]) -> list[str]:
    """Return a key history for people."""
    if not keys:
        return ["no keys were registered yet"]
    heads = ["keys", "fingerprint", "signing key", "registered", ""]
    rows = [
        [
            str(k["number"]),
            k["fingerprint"],
            k["signer"],
            k["time"],
            "current" if k["current"] else "replaced",
        ]
        for k in keys
    ]
    return ["", *table([heads, *rows])]


def membership_events(window: Window) -> list[Event]:
    """Return admissions, removals, thresholds and pauses, in the order of the chain."""
    names = ("MemberAdmitted", "MemberRemoved", "ThresholdSet", "Paused")
    found = [event for name in names for event in window.reader.events(name)]
    return sorted(found, key=lambda event: (event.block_number, event.position))


def _as_json(window: Window, member: Member) -> dict[str, Any]:
    return {
        "account": f"0x{member.address.hex()}",
        "name": window.names.get(member.address),
        "roles": role_names(Role(member.roles)),
        "key_set": member.epoch,
        "since_block": member.since,
    }
