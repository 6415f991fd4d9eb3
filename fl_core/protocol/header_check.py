"""What a holder checks before it trains for a round: the header against the ledger, the terms and the clock.

This is step 2 of the protocol (``docs/explanation/protocol.md``). The caller has read the ledger and hands over what it
saw as a :class:`LedgerView`; nothing here reads anything. The holder's own policy comes after these checks and may only
be stricter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fl_core.errors import VerificationError
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.rules import committee_of, least_n_min, threshold_of
from fl_core.protocol.terms import Terms

MAX_CLIP_GROWTH = 1e6
"""A clip may not exceed this many times the terms' initial clip; a larger one would round every update to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """What the ledger says about one member.

    Attributes:
        registered_at: Block in which its current keys were registered.
        consented: Digest of the terms that it accepted for this run as a holder, since its last admission; 32 zero
            bytes where it did not, or is no holder.
    """

    registered_at: int
    consented: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerView:
    """What the ledger says about a round, as read at its final head by the party that checks.

    Attributes:
        chain_id: Chain that was read.
        contract: Contract that was read.
        header: Digest that ``openRound`` recorded.
        parent: Model id that ``openRound`` recorded.
        artifact: File digest of that model.
        terms: Digest of the run's terms.
        beacon: Hash of block ``header.beacon_number``.
        members: Every account of cohort and committee that is a member now.
    """

    chain_id: int
    contract: bytes
    header: bytes
    parent: bytes
    artifact: bytes
    terms: bytes
    beacon: bytes
    members: Mapping[bytes, MemberView]


def check_header(
    header: RoundHeader, *, view: LedgerView, terms: Terms, model: bytes, me: bytes, now: int
) -> None:
    """Check a round's header.

    Obligations, in order:

    1. The header is for the chain and the contract that the holder follows.
    2. Its digest is the one that the ledger recorded: every holder was shown the same header.
    3. It trains from the ledger's model, and the received model is that model.
    4. The holder belongs to the cohort, and contributions are still accepted.
    5. Every client of the cohort accepted the run's terms, and the terms are those that this holder accepted.
    6. The committee is the one that the beacon draws (up to 16 clients: the whole cohort), and threshold and
       least number of contributions follow the rules. (The seats' keys: :func:`fl_core.protocol.prekeys.check_seats`.)
    7. Parameters, packing, tensors, counters and weight cap are those of the terms; clips lie in their range.
    8. The beacon is a block of this chain later than the registration of every committee key.

    Args:
        header: The header as received.
        view: What the ledger says.
        terms: The terms that this holder accepted.
        model: SHA-256 of the model file that was received.
        me: This holder's account.
        now: Unix time in seconds.

    Raises:
        VerificationError: The first obligation that is not met; its number is in the message.
    """
    _expect(
        1, header.chain_id == view.chain_id and header.contract == view.contract, "another chain or contract"
    )
    _expect(2, header.digest == view.header, "the ledger recorded another header for this round")
    _expect(3, header.parent == view.parent and header.artifact == view.artifact, "not the ledger's model")
    _expect(3, header.artifact == model, "the received model is not the one on the ledger")
    _expect(4, me in header.cohort, "this holder is not in the cohort")
    _expect(4, now <= header.deadline, "the deadline has passed")
    _expect(5, view.terms == terms.digest, "the run's terms are not those that this holder accepted")
    for account in header.cohort:
        member = view.members.get(account)
        _expect(
            5, member is not None and member.consented == view.terms, f"{account.hex()} has not consented"
        )
    _check_committee(header, view, terms)
    _check_parameters(header, terms)
    _expect(8, header.beacon == view.beacon, "the beacon is not a block of this chain")
    newest = max(view.members[seat.address].registered_at for seat in header.committee)
    _expect(8, newest < header.beacon_number, "the beacon is older than a committee key")


def _check_committee(header: RoundHeader, view: LedgerView, terms: Terms) -> None:
    seats = tuple(seat.address for seat in header.committee)
    drawn = committee_of(header.cohort, run=header.run, round_number=header.round, beacon=header.beacon)
    _expect(6, seats == drawn, "the committee is not the one that the beacon draws")
    _expect(6, header.threshold == threshold_of(len(seats)), "the threshold is not floor(2m/3) + 1")
    least = max(terms.n_min, least_n_min(len(header.cohort)))
    _expect(6, header.n_min >= least, f"the included set may be smaller than {least}")


def _check_parameters(header: RoundHeader, terms: Terms) -> None:
    _expect(
        7, header.parameter_set == terms.parameter_set and header.packing == terms.packing, "other parameters"
    )
    tensors = tuple((spec.name, math.prod(spec.shape)) for spec in terms.tensors)
    _expect(7, tuple((b.name, b.size) for b in header.blocks) == tensors, "other tensors than in the terms")
    _expect(
        7,
        header.counters == terms.counters and header.weight_cap == terms.weight_cap,
        "other counters or weights",
    )
    low = min(terms.initial_clip, terms.clip_floor)
    high = terms.initial_clip * MAX_CLIP_GROWTH
    _expect(7, all(low <= block.clip <= high for block in header.blocks), "a clip lies outside its range")


def _expect(number: int, condition: bool, problem: str) -> None:
    if not condition:
        raise VerificationError(f"header check ({number}): {problem}", party="coordinator")
