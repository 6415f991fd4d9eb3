"""Plans a round: from what the ledger and the last round say to the header of the next one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.errors import RoundFailed
from fl_core.protocol.header import RoundHeader, Seat
from fl_core.protocol.rules import committee_of, least_n_min, threshold_of
from fl_core.protocol.terms import Terms
from fl_core.quantise import Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a round is planned from.

    Attributes:
        chain_id: Chain of the ledger.
        contract: Its contract.
        run: Run id.
        round: Number of the round.
        parent: Model id to train from.
        artifact: SHA-256 of that model's file.
        transport_keys: Account -> digest of its newest prekey, for the nodes that are at hand.
        blocks: Blocks with the clips of this round.
        beacon_number: Number of the newest final block.
        beacon: Its hash.
        deadline: Unix time in seconds.
    """

    chain_id: int
    contract: bytes
    run: bytes
    round: int
    parent: bytes
    artifact: bytes
    transport_keys: Mapping[bytes, bytes]
    blocks: tuple[Block, ...]
    beacon_number: int
    beacon: bytes
    deadline: int


def first_blocks(terms: Terms) -> tuple[Block, ...]:
    """Return the blocks of round 1: one per tensor, with the terms' initial clip."""
    return tuple(Block(name=spec.name, size=spec.size, clip=terms.initial_clip) for spec in terms.tensors)


def plan_header(terms: Terms, situation: Situation) -> RoundHeader:
    """Return the header of the next round: every node at hand is a client, and the beacon draws the members among them.

    Raises:
        RoundFailed: Fewer nodes are at hand than any included set must have.
    """
    cohort = tuple(sorted(situation.transport_keys))
    n_min = max(terms.n_min, least_n_min(len(cohort)))
    if len(cohort) < n_min:
        raise RoundFailed(f"a sum needs {n_min} contributions, {len(cohort)} nodes are at hand")
    committee = committee_of(cohort, run=situation.run, round_number=situation.round, beacon=situation.beacon)
    return RoundHeader(
        chain_id=situation.chain_id,
        contract=situation.contract,
        run=situation.run,
        round=situation.round,
        parent=situation.parent,
        artifact=situation.artifact,
        parameter_set=terms.parameter_set,
        packing=terms.packing,
        blocks=situation.blocks,
        counters=terms.counters,
        weight_cap=terms.weight_cap,
        cohort=cohort,
        committee=tuple(Seat(address=a, transport_key=situation.transport_keys[a]) for a in committee),
        threshold=threshold_of(len(committee)),
        n_min=n_min,
        deadline=situation.deadline,
        beacon_number=situation.beacon_number,
        beacon=situation.beacon,
    )
