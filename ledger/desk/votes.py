"""Voting: propose an act, vote for one that somebody proposed, and stop new work in an emergency."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fl_core.errors import InputError
from ledger.desk.desk import Desk, Step, effects
from ledger.files import read_plain
from ledger.records import EMPTY_ADDRESS, EMPTY_WORD, Act, Role, RunState
from ledger.views.proposals import (
    Executed,
    Proposal,
    executed_proposals,
    in_words,
    outlook,
    proposal_named,
    proposals,
)
from ledger.views.window import LEAST_DIGITS, Answer, Window, read_roles

MAX_MINUTES = 1 << 28
"""Bytes of a document whose digest goes with a vote."""
_INTENT = "vote/"
"""Begins the intent of a vote; the proposal's id follows."""

Subject = Annotated[
    str | None,
    typer.Argument(
        metavar="[SUBJECT]",
        help="ADMIT, REMOVE: an account. THRESHOLD: a number. STOP_RUN: a run's id or its beginning.",
        show_default=False,
    ),
]
Minutes = Annotated[
    Path | None,
    typer.Option(
        help="Document with the reason; its SHA-256 goes on the ledger, nothing else.", show_default=False
    ),
]


def propose(
    desk: Desk,
    act: Annotated[str, typer.Argument(help="ADMIT, REMOVE, THRESHOLD, UNPAUSE or STOP_RUN.")],
    subject: Subject = None,
    roles: Annotated[
        str | None,
        typer.Option(
            help="ADMIT: roles, separated by commas: holder, researcher, auditor, coordinator.",
            show_default=False,
        ),
    ] = None,
    minutes: Minutes = None,
) -> None:
    """Propose an act, with your own vote; where that is enough, it is done at once."""
    kind = _act(act)
    if (roles is None) == (kind is Act.ADMIT):
        raise InputError(
            "Roles are given exactly when somebody is admitted.", fix="Give, or leave out, --roles."
        )
    if minutes is not None and kind not in (Act.ADMIT, Act.REMOVE):
        raise InputError(f"{kind.name} goes without minutes.", fix="Leave out --minutes.")
    account, info = _subject(desk, kind, subject)
    chosen = Role(0) if roles is None else read_roles(roles)
    _vote(desk, kind, account, chosen, _digest(minutes) if minutes else info)


def cast(
    desk: Desk,
    proposal: Annotated[
        str | None,
        typer.Argument(
            metavar="[PROPOSAL]",
            help="Its id or the beginning of it; not needed if only one is open.",
            show_default=False,
        ),
    ] = None,
    minutes: Minutes = None,
) -> None:
    """Vote for an open proposal; with --minutes only if it names that very document.

    Given again after your vote, or a later one, executed it, the answer is that.
    """
    done = next(iter(_left_behind(desk)), None) if proposal is None else None
    try:
        found = proposal_named(desk, proposal) if done is None else done.proposal
    except InputError:  # it is not open; was it?
        done = None if proposal is None else _begins_with(executed_proposals(desk), proposal)
        if done is None:
            raise
        found = done.proposal
    if minutes is not None and _digest(minutes) != found.info:
        raise InputError(f"The proposal does not name {minutes}.", fix="Get the document that was proposed.")
    if done is not None:
        _tell_executed(desk, done)
        return
    _vote(desk, found.act, found.subject, found.roles, found.info)


def listing(window: Window) -> None:
    """Show the open proposals: who voted, how many votes there are, and what the next vote will do."""
    window.show(proposals(window))


def pause(desk: Desk) -> None:
    """Stop new work at once: an auditor or a coordinator may. To go on, the members vote for UNPAUSE.

    Consents can still be withdrawn, rewards claimed, keys changed, runs closed, votes cast.
    """
    count = effects(desk, "Paused")
    desk.act([Step("stop all new work on this ledger", f"pause/{count}", lambda w, i: w.pause(intent=i))])


def _vote(desk: Desk, act: Act, subject: bytes, roles: Role, info: bytes) -> None:
    asked = (act, subject, roles, info)
    done = next((one for one in _left_behind(desk) if _what(one.proposal) == asked), None)
    if done is not None:
        _tell_executed(desk, done)
        return
    proposal = desk.reader.proposal_id(act, subject, roles, info)
    votes, threshold = desk.reader.votes(proposal), desk.reader.threshold()
    counted = desk.reader.voted(proposal, desk.account.address)  # of a command that is given again
    executes = not counted and votes + 1 >= threshold
    if not (executes or counted):
        _check_executable(desk, act, subject, info)
    words = in_words(desk, act, subject, roles, info)
    desk.note(f"{outlook(votes, threshold)}{': yours' if executes else ''}")
    step = Step(
        f"{'' if executes else 'vote to '}{words}",
        f"{_INTENT}{proposal.hex()}",
        lambda w, i: w.vote(act, subject, roles, info, intent=i),
    )
    desk.act(
        [step],
        extra={
            "proposal": f"0x{proposal.hex()}",
            "votes": votes if counted else votes + 1,
            "threshold": threshold,
            "executes": executes,
        },
    )


def _what(proposal: Proposal) -> tuple[Act, bytes, Role, bytes]:
    """Return what a proposal is about: the same act can be proposed again in a later era."""
    return proposal.act, proposal.subject, proposal.roles, proposal.info


def _left_behind(desk: Desk) -> list[Executed]:
    """Return the executed proposals that votes were for which interrupted commands of this account left."""
    begun = {intent.removeprefix(_INTENT)[:64] for intent in desk.unfinished() if intent.startswith(_INTENT)}
    found = executed_proposals(desk) if begun else []
    return [one for one in found if one.proposal.id.hex() in begun and desk.account.address in one.votes]


def _begins_with(executed: Sequence[Executed], text: str) -> Executed | None:
    """Return the only executed proposal whose id begins with what a person gave."""
    digits = text.lower().removeprefix("0x")
    found = [one for one in executed if one.proposal.id.hex().startswith(digits)]
    return found[0] if len(found) == 1 and len(digits) >= LEAST_DIGITS else None


def _tell_executed(desk: Desk, done: Executed) -> None:
    """Answer a vote for a proposal that was executed meanwhile; it is done if this account's vote is among those recorded.

    Raises:
        InputError: It is not: the others did it without this account.
    """
    words = in_words(desk, *_what(done.proposal))
    mine = done.votes.get(desk.account.address)
    mined = None if mine is None else desk.connection.receipt(mine)
    if mined is None:
        raise InputError(
            f"The proposal was executed in block {done.block} without your vote: {words}.",
            fix="There is nothing left to vote for; `suture vote list` shows what is open.",
        )
    desk.finish()
    votes = len(done.votes)
    vote = {
        "words": words,
        "transaction": f"0x{mined.tx_hash.hex()}",
        "block": mined.block_number,
        "gas": mined.gas_used,
    }
    data = {
        "dry_run": desk.wishes.dry_run,
        "account": f"0x{desk.account.address.hex()}",
        "transactions": [vote],
        "proposal": f"0x{done.proposal.id.hex()}",
        "votes": votes,
        "threshold": votes,
        "executes": True,
    }
    where = f"block {mined.block_number}, transaction 0x{mined.tx_hash.hex()}"
    line = f"Done already: {words} (executed in block {done.block}); your vote is one of {votes} ({where})"
    desk.show(Answer(data, [line]))


def _check_executable(desk: Desk, act: Act, subject: bytes, info: bytes) -> None:
    """Refuse to collect votes for what the last one could not execute.

    Raises:
        InputError: The act makes no sense now.
    """
    fix = "Look at `suture member list` first."
    if act in (Act.ADMIT, Act.REMOVE):
        is_member = bool(desk.reader.member(subject).roles)
        if is_member == (act is Act.ADMIT):
            state = "a member already" if is_member else "not a member"
            raise InputError(f"{desk.name(subject)} is {state}.", fix=fix)
        if act is Act.REMOVE and desk.reader.member_count() == 1:
            raise InputError("The last member cannot be removed.", fix=fix)
        if act is Act.ADMIT:
            _check_admissible(desk, subject)
    elif act is Act.THRESHOLD and not 1 <= int.from_bytes(info, "big") <= desk.reader.member_count():
        raise InputError(
            f"The threshold is between 1 and {desk.reader.member_count()}, the number of members.", fix=fix
        )
    elif act is Act.UNPAUSE and not desk.reader.paused():
        raise InputError("The ledger is not paused.", fix="There is nothing to do.")
    elif act is Act.STOP_RUN:
        run = desk.reader.run(info)
        if run.state not in (RunState.OPEN, RunState.CLOSING):
            raise InputError(
                f"The run is {run.state.name} and cannot be stopped.", fix="Look at `suture run show`."
            )


def _check_admissible(desk: Desk, subject: bytes) -> None:
    """Refuse to admit what the contract never admits.

    Raises:
        InputError: It is nobody's account, or a member's signing key.
    """
    fix = "Ask who is to be admitted for the account again."
    if subject == EMPTY_ADDRESS:
        raise InputError("The zero address is nobody's account.", fix=fix)
    owner = desk.reader.member_of_signer(subject)
    if owner not in (None, subject):
        raise InputError(f"0x{subject.hex()} is a signing key of {desk.name(owner)}.", fix=fix)


def _act(text: str) -> Act:
    try:
        return Act[text.upper().replace("-", "_")]
    except KeyError:
        raise InputError(
            f"{text!r} is no act.", fix="Acts are ADMIT, REMOVE, THRESHOLD, UNPAUSE, STOP_RUN."
        ) from None


def _subject(desk: Desk, act: Act, text: str | None) -> tuple[bytes, bytes]:
    """Return subject and info of an act."""
    if act is Act.UNPAUSE:
        if text is not None:
            raise InputError("UNPAUSE takes no subject.", fix=f"Leave out {text!r}.")
        return EMPTY_ADDRESS, EMPTY_WORD
    if text is None:
        raise InputError(f"{act.name} needs a subject.", fix="See `suture vote propose --help`.")
    if act in (Act.ADMIT, Act.REMOVE):
        return desk.account_of(text), EMPTY_WORD
    if act is Act.STOP_RUN:
        return EMPTY_ADDRESS, desk.run(text).id
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**32:
        raise InputError(f"{text!r} is no number of votes.", fix="Give a whole number from 1 on.")
    return EMPTY_ADDRESS, int(text).to_bytes(32, "big")


def _digest(minutes: Path) -> bytes:
    try:
        return hashlib.sha256(read_plain(minutes, MAX_MINUTES)).digest()
    except OSError as error:
        raise InputError(f"{minutes} cannot be read ({error.strerror}).", fix="Name a file.") from error
