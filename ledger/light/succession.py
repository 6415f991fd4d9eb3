"""Whose seals count on a block when validators were voted in or out since the auditor pinned them (QBFT, votes in headers).

The validators of a block are in its header; those of the next one follow from them and from the votes in headers so far
(Besu, ``VoteTally`` and ``VoteTallyUpdater``):

* The proposer of a block, its ``miner``, may vote to add or to drop one address. A newer vote of the same proposer on the same address
  takes the place of the older one.
* With votes of more than half of the validators the change holds from the next block on. Votes on that address are gone then,
  and so are all votes of a validator that was dropped.
* Every ``epoch_length`` blocks all pending votes are dropped; such a block carries none.

:func:`follow` walks from a block down to the newest one that the pinned validators made, and on to the beginning of its epoch,
where the count of votes begins; then it counts upwards. Each header is bound by the hash in its child. The last block of each
set must be sealed by two thirds of that set: this one stands for all before it, with the vote that ends the set. So a new set counts only if the
old one agreed to it, in blocks that the old one sealed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fl_core.errors import DecodeError, VerificationError
from ledger.light.nodes import Block
from ledger.light.qbft import ExtraData, Vote, check_seals

EPOCH_BLOCKS = 30_000
"""Blocks of an epoch where a genesis file does not say otherwise (Besu, ``epochlength``)."""
MAX_FOLLOWED = 50_000
"""Most headers that are followed down to the pinned validators; about two milliseconds each."""
_PIN_NEWER = "Ask the members who the validators are now, and pin those."


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """Whose seals count on a block.

    Attributes:
        validators: Addresses of those who are validators of the block.
        signers: Those of them whose seals it carries.
        pinned_until: Height of the last block that the pinned validators made.
        changes: How often the set changed since.
    """

    validators: frozenset[bytes]
    signers: frozenset[bytes]
    pinned_until: int
    changes: int = 0


@dataclass(frozen=True, slots=True)
class _Step:
    """What one header contributes to the count."""

    number: int
    validators: frozenset[bytes]
    proposer: bytes
    vote: Vote | None


@dataclass
class _Tally:
    """Pending votes: subject -> proposer -> whether to add it."""

    validators: frozenset[bytes]
    votes: dict[bytes, dict[bytes, bool]] = field(default_factory=dict)

    def cast(self, proposer: bytes, vote: Vote) -> None:
        """Count one vote; with more than half of the validators the set changes."""
        ballot = self.votes.setdefault(vote.subject, {})
        ballot[proposer] = vote.add
        needed, adds = len(self.validators) // 2 + 1, sum(ballot.values())
        drops = len(ballot) - adds
        if max(adds, drops) < needed:
            return
        del self.votes[vote.subject]
        if adds >= needed:
            self.validators |= {vote.subject}
        if drops >= needed:
            self.validators -= {vote.subject}
            for others in self.votes.values():
                others.pop(vote.subject, None)


def follow(ancestors: Iterable[Block], pinned: frozenset[bytes], epoch_length: int) -> Succession:
    """Check that a block is sealed by the pinned validators, or by those that followed them.

    Args:
        ancestors: The block, its parent, and so on, each bound by its child; read only as far as needed.
        pinned: Validators that the auditor believes in; of any block that is not above the first one.
        epoch_length: Blocks after which pending votes are dropped.

    Raises:
        VerificationError: Too few seals, a set that nobody voted for, no block of the pinned validators, or too long a way.
    """
    walked, signers, pinned_until = list[_Step](), frozenset[bytes](), -1
    for block in ancestors:
        if len(walked) == MAX_FOLLOWED:
            raise VerificationError(
                f"the validators changed, and {MAX_FOLLOWED} headers do not lead from block {walked[0].number} to an epoch "
                "of the pinned ones",
                fix=_PIN_NEWER,
            )
        step = _step(block)
        if not walked or step.validators != walked[-1].validators:
            sealed = _sealed(block, step)
            signers = signers or sealed
        walked.append(step)
        if pinned_until < 0 and step.validators == pinned:
            pinned_until = step.number
            if len(walked) == 1:  # nothing changed
                return Succession(validators=pinned, signers=signers, pinned_until=pinned_until)
        if pinned_until >= 0 and step.number % epoch_length == 0:
            break
    if pinned_until < 0:
        raise VerificationError(
            f"the {len(pinned)} pinned validators made no block up to block {walked[0].number}",
            fix=_PIN_NEWER,
        )
    changes = _count(walked[::-1], pinned_until, epoch_length)
    return Succession(
        validators=walked[0].validators, signers=signers, pinned_until=pinned_until, changes=changes
    )


def _step(block: Block) -> _Step:
    """Read what a header says about validators.

    Raises:
        VerificationError: It is no header of a QBFT chain with its validators in it.
    """
    if not block.header.bft:
        raise VerificationError(f"block {block.number} is not one of a QBFT chain")
    try:
        extra = ExtraData.decode(block.header.extra_data)
    except DecodeError as error:
        raise VerificationError(f"block {block.number}: {error.message}") from error
    if not extra.validators:
        raise VerificationError(
            f"block {block.number} names no validators", fix="Validators in a contract are not followed."
        )
    return _Step(block.number, frozenset(extra.validators), block.header.miner, extra.vote)


def _sealed(block: Block, step: _Step) -> frozenset[bytes]:
    """Return who sealed a block, the last one of its validators."""
    try:
        return check_seals(block.header, step.validators)
    except VerificationError as error:
        raise VerificationError(f"block {block.number}: {error.message}", fix=error.fix) from error


def _count(steps: list[_Step], pinned_until: int, epoch_length: int) -> int:
    """Count the votes upwards from the beginning of an epoch; return how often the set changed after ``pinned_until``."""
    tally, changes = _Tally(steps[0].validators), 0
    for before, step in zip([steps[0], *steps], steps, strict=False):
        if step.validators != tally.validators:
            raise VerificationError(
                f"block {step.number} is by {len(step.validators)} validators that those before did not vote for",
                fix="Keep this: whoever shows the block made up its validators, or the network's files changed them.",
            )
        changes += step.validators != before.validators and step.number > pinned_until
        if step.number % epoch_length == 0:
            tally.votes.clear()
        elif step.proposer not in tally.validators:
            raise VerificationError(f"block {step.number} was proposed by none of its validators")
        elif step.vote is not None:
            tally.cast(step.proposer, step.vote)
    return changes
