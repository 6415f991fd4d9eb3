"""What the members vote on: open proposals with their votes, and the votes of the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.reader import Event
from ledger.records import Act, Role
from ledger.views.window import Answer, Window, named, role_names, table

EXECUTIONS = ("MemberAdmitted", "MemberRemoved", "ThresholdSet", "Paused", "RunClosed")
"""Events that an executed act leaves in the transaction of its last vote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """An act that somebody voted for.

    Attributes:
        id: Under which its votes are counted.
        act: What is to be done.
        subject: Account to admit or remove.
        roles: Roles to admit with.
        info: Digest of the reason, number of votes, or run.
        voters: Who voted for it, in order.
    """

    id: bytes
    act: Act
    subject: bytes
    roles: Role
    info: bytes
    voters: tuple[bytes, ...]


def open_proposals(window: Window) -> list[Proposal]:
    """Return the proposals of the current era that can be executed, oldest first; older votes count no more."""
    reader, found = window.reader, dict[bytes, list[Event]]()
    for event in reader.events("Vote"):
        found.setdefault(bytes(event.values["proposal"]), []).append(event)
    proposals = []
    for identity, events in found.items():
        values = events[0].values
        act = _act(values["act"])
        now = reader.proposal_id(values["act"], values["subject"], values["roles"], values["info"])
        if now == identity and act is not None:
            proposals.append(_proposal(act, events))
    return proposals


def _act(value: int) -> Act | None:
    """Return the act that a vote names; None where it names none or several at once, which the contract never executes.

    Any member can cast such a vote: it must not stand in the way of the others.
    """
    return Act(value) if value in Act.__members__.values() else None


def _proposal(act: Act, events: Sequence[Event]) -> Proposal:
    values = events[0].values
    return Proposal(
        id=bytes(values["proposal"]),
        act=act,
        subject=bytes(values["subject"]),
        roles=Role(values["roles"]),
        info=bytes(values["info"]),
        voters=tuple(bytes(event.values["voter"]) for event in events),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """A proposal whose act was executed.

    Attributes:
        proposal: What it was, with everybody who voted for it.
        block: When it was executed.
        votes: Voter -> the transaction of its vote.
    """

    proposal: Proposal
    block: int
    votes: Mapping[bytes, bytes]


def executed_proposals(window: Window) -> list[Executed]:
    """Return the proposals that were executed, oldest first."""
    executed, found = _executions(window), dict[bytes, list[Event]]()
    for event in window.reader.events("Vote"):
        found.setdefault(bytes(event.values["proposal"]), []).append(event)
    done = []
    for events in found.values():
        act = _act(events[0].values["act"])
        if act is not None and events[-1].tx_hash in executed:
            votes = {bytes(event.values["voter"]): event.tx_hash for event in events}
            done.append(Executed(proposal=_proposal(act, events), block=events[-1].block_number, votes=votes))
    return sorted(done, key=lambda one: one.block)


def _executions(window: Window) -> set[bytes]:
    """Return the transactions in which an act may have been executed."""
    return {event.tx_hash for name in EXECUTIONS for event in window.reader.events(name)}


def proposal_named(window: Window, text: str | None) -> Proposal:
    """Return the open proposal that a person names by its id or the beginning of it; without a name, the only one.

    Raises:
        InputError: There is none, or there are several.
    """
    known = {proposal.id: proposal for proposal in open_proposals(window)}
    return known[named(text, list(known), "open proposal", "suture vote list")]


def in_words(window: Window, act: Act, subject: bytes, roles: Role, info: bytes) -> str:
    """Return what an act does, for people."""
    if act is Act.ADMIT:
        return f"admit {window.name(subject)} as {', '.join(role_names(roles)) or 'nothing'}"
    if act is Act.REMOVE:
        return f"remove {window.name(subject)}"
    if act is Act.THRESHOLD:
        return f"need {int.from_bytes(info, 'big')} votes for an act"
    if act is Act.UNPAUSE:
        return "let the ledger take new work again"
    return f"stop the run 0x{info.hex()} at once and refund its escrow"


def proposals(window: Window) -> Answer:
    """List the open proposals: who voted, how many votes there are, and what the next vote will do."""
    found, threshold, era = open_proposals(window), window.reader.threshold(), window.reader.era()
    data = {"era": era, "threshold": threshold, "open": [as_json(window, p, threshold) for p in found]}
    if not found:
        return Answer(data, [f"No open proposal in era {era}; an act needs {threshold} votes."])
    lines = [
        f"Era {era}; an act needs {threshold} votes. Every executed act ends the era and voids the other proposals."
    ]
    for proposal in found:
        act = in_words(window, proposal.act, proposal.subject, proposal.roles, proposal.info)
        voters = ", ".join(window.name(voter) for voter in proposal.voters)
        lines += [
            "",
            f"{proposal.id.hex()[:12]}  {act}",
            f"  {outlook(len(proposal.voters), threshold)}",
            f"  voted: {voters}",
        ]
        if proposal.act in (Act.ADMIT, Act.REMOVE) and any(proposal.info):
            lines.append(f"  minutes: SHA-256 {proposal.info.hex()}")
    return Answer(data, lines)


def outlook(votes: int, threshold: int) -> str:
    """Return what the next vote for a proposal does."""
    count = f"{votes} of {threshold} votes"
    return (
        f"{count}; the next vote executes it"
        if votes + 1 >= threshold
        else f"{count}; {threshold - votes} more are needed"
    )


def as_json(window: Window, proposal: Proposal, threshold: int) -> dict[str, Any]:
    """Return a proposal for programs."""
    return {
        "id": f"0x{proposal.id.hex()}",
        "act": proposal.act.name,
        "words": in_words(window, proposal.act, proposal.subject, proposal.roles, proposal.info),
        "subject": f"0x{proposal.subject.hex()}",
        "roles": role_names(proposal.roles),
        "info": f"0x{proposal.info.hex()}",
        "votes": len(proposal.voters),
        "voters": [f"0x{voter.hex()}" for voter in proposal.voters],
        "next_vote_executes": len(proposal.voters) + 1 >= threshold,
    }


def _voted_for(window: Window, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a vote was for, for programs; the act is None where it names no single one."""
    act = _act(values["act"])
    if act is None:
        return {"act": None, "words": f"no act ({values['act']}): it can never be executed"}
    subject, info = bytes(values["subject"]), bytes(values["info"])
    return {"act": act.name, "words": in_words(window, act, subject, Role(values["roles"]), info)}


def vote_history(window: Window) -> Answer:
    """List every vote ever cast, when, and whether it executed its act."""
    executed = _executions(window)
    votes = []
    for event in window.reader.events("Vote"):
        values = event.values
        votes.append(
            {
                "block": event.block_number,
                "time": window.time(event.block_number),
                "voter": f"0x{bytes(values['voter']).hex()}",
                **_voted_for(window, values),
                "votes": values["votes"],
                "executed": event.tx_hash in executed,
                "transaction": f"0x{event.tx_hash.hex()}",
            }
        )
    rows = [["when", "who", "votes", "for"]] + [
        [
            v["time"],
            window.name(bytes.fromhex(v["voter"][2:])),
            str(v["votes"]),
            v["words"] + (": done" if v["executed"] else ""),
        ]
        for v in votes
    ]
    return Answer({"votes": votes}, table(rows) if votes else ["Nobody has voted yet."])
