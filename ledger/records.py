"""What the ledger publishes, as frozen values: the shared vocabulary of clients, coordinator and auditors.

A record here is what :mod:`ledger.reader` returns for one entry of the contract ``TrainingLedger``; the field names
are the contract's, in snake case. Every instance is checked when it is made, so one that exists is well formed; that it
is *true* is for the reader and the audit to say. Pure: no chain, no clock, no files.

Units: addresses 20 bytes; roots, ids and digests 32 bytes; times in Unix seconds; ``block`` fields are block numbers;
amounts in the token's smallest unit; privacy budgets in the unit that the run's terms name.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum, IntFlag

from fl_core.errors import LocalProtocolError

ADDRESS_SIZE = 20
"""Bytes of an account."""
WORD_SIZE = 32
"""Bytes of a root, an id or a digest."""
EMPTY_ADDRESS = bytes(ADDRESS_SIZE)
EMPTY_WORD = bytes(WORD_SIZE)


class Role(IntFlag):
    """What a member may do. The values are the bits of the contract's ``Role`` flag."""

    HOLDER = 1
    RESEARCHER = 2
    AUDITOR = 4
    COORDINATOR = 8


class Act(IntEnum):
    """What the members can vote on. The values are the bits of the contract's ``Act`` flag; a vote names exactly one."""

    ADMIT = 1
    """``subject`` becomes a member with ``roles``; ``info`` is the digest of why."""
    REMOVE = 2
    """``subject`` is no longer a member."""
    THRESHOLD = 4
    """``info``, as a number, votes are needed from now on."""
    UNPAUSE = 8
    """The ledger takes new work again."""
    STOP_RUN = 16
    """The run ``info`` ends at once and its escrow goes back to the sponsor."""


class RunState(IntEnum):
    """Where a run is in its life."""

    NONE = 0
    OPEN = 1
    CLOSING = 2
    """No new round; the one under way can be finished until ``closes_at``."""
    CLOSED = 3
    STOPPED = 4
    """Ended by vote."""


class RoundState(IntEnum):
    """Where a round is in its life."""

    NONE = 0
    OPEN = 1
    COMMITTED = 2
    """The accepted set V is fixed."""
    INCLUDED = 3
    """The included set U is fixed; members may answer."""
    FINALISED = 4
    ABORTED = 5


def _check(record: object, name: str, value: object) -> None:
    """Check one field by its type: bytes are addresses or words by ``_ADDRESSES``, integers are not negative."""
    if isinstance(value, bytes):
        size = ADDRESS_SIZE if name in _ADDRESSES else WORD_SIZE
        if len(value) != size:
            raise LocalProtocolError(
                f"{type(record).__name__}.{name} must have {size} bytes, it has {len(value)}."
            )
    elif isinstance(value, int) and value < 0:
        raise LocalProtocolError(f"{type(record).__name__}.{name} must not be negative, it is {value}.")


_ADDRESSES = frozenset({"address", "signer", "sponsor", "coordinator", "token", "contract", "holder"})


class _Record:
    """Checks sizes and signs of all fields at construction."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            _check(self, field.name, getattr(self, field.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Member(_Record):
    """One account of the consortium.

    Attributes:
        address: The account.
        roles: What it may do; empty means it is not, or no longer, a member.
        epoch: Number of its current key set; 0 before the first.
        since: Block of its admission; 0 when it is not a member.
    """

    address: bytes
    roles: Role
    epoch: int
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys(_Record):
    """One key set of a member.

    Attributes:
        epoch: Its number, from 1.
        signer: Address of the key that signs contributions, reveals and receipts.
        encryption: Digest of the transport key bundle.
        block: When it was registered.
    """

    epoch: int
    signer: bytes
    encryption: bytes
    block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(_Record):
    """One training run.

    Attributes:
        id: keccak256(abi.encode(sponsor, terms)).
        sponsor: Who paid the escrow and gets what is left.
        coordinator: Who runs the rounds.
        token: ERC-20 contract of the rewards; zero when there are none.
        terms: Digest of the terms document that holders accept.
        state: Where it is in its life.
        min_clients: Fewest members in an accepted or included set.
        max_rounds: Most rounds that may be finalised.
        opened: Number of the latest round, 0 before the first.
        finalised: How many rounds were finalised.
        accepted: How many holders consent now.
        closing_delay: Seconds between asking to close and the refund.
        closes_at: Earliest time of the refund; 0 unless state is CLOSING or later by that way.
        budget: Most privacy budget the run may spend.
        spent: Privacy budget spent by committed rounds, of every data set whose holder consented then.
        escrow: Deposited and not yet promised to anybody.
        allocated: Promised by finalised rounds, claimed or not.
        claimed: Paid out.
    """

    id: bytes
    sponsor: bytes
    coordinator: bytes
    token: bytes
    terms: bytes
    state: RunState
    min_clients: int
    max_rounds: int
    opened: int
    finalised: int
    accepted: int
    closing_delay: int
    closes_at: int
    budget: int
    spent: int
    escrow: int
    allocated: int
    claimed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What never changes about a run.

    Attributes:
        sponsor: Account that pays.
        coordinator: Account that runs the rounds.
        terms: Digest of the terms.
    """

    sponsor: bytes
    coordinator: bytes
    terms: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Round(_Record):
    """One round of a run. Fields that its state has not reached yet are zero.

    Attributes:
        run: The run.
        number: From 1, without gaps.
        state: Where it is in its life.
        cost: Privacy budget that it spends of every data set when it is committed.
        parent: Model id that the members train from.
        header: Digest of the round header.
        root: Merkle root of V, the accepted contributions.
        count: Size of V.
        included: Merkle root of U, the included contributions.
        included_count: Size of U.
        exclusions: Digest of the reasons why members of V are not in U.
        rewards: Root of the cumulative rewards after this round; zero when it paid nothing.
        model: Id of the model it made.
    """

    run: bytes
    number: int
    state: RoundState
    parent: bytes
    header: bytes
    root: bytes
    count: int
    included: bytes
    included_count: int
    exclusions: bytes
    rewards: bytes
    model: bytes
    cost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataBudget(_Record):
    """The privacy budget that a holder granted a data set, over all runs.

    ``reserved + spent`` never exceeds ``granted``.

    Attributes:
        holder: Whose data set.
        dataset: Commitment to it.
        granted: Most that runs may ever spend of it.
        reserved: Set aside for accepted runs that are not settled: what they have spent and may still spend.
        spent: Spent in settled runs.
    """

    holder: bytes
    dataset: bytes
    granted: int
    reserved: int
    spent: int

    @property
    def free(self) -> int:
        """What is left for other runs."""
        return self.granted - self.reserved - self.spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Pledge(_Record):
    """What a holder set aside for a run that it consents to, until consent or run have ended.

    Attributes:
        run: The run.
        holder: The holder.
        dataset: Commitment to the data set; zero when there is no pledge.
        since: What the run had spent when the holder consented.
    """

    run: bytes
    holder: bytes
    dataset: bytes
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(_Record):
    """One model version.

    Attributes:
        id: keccak256(abi.encode(run, round, artifact)).
        run: The run that made or registered it.
        round: The round that made it; 0 for a registered root.
        parent: Id of the model it was trained from; zero for a root.
        artifact: SHA-256 of its safetensors file.
        metrics: Commitment to its metrics.
        aggregate_key: Digest of the round's aggregate key; zero for a root.
    """

    id: bytes
    run: bytes
    round: int
    parent: bytes
    artifact: bytes
    metrics: bytes
    aggregate_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head(_Record):
    """The newest block a reader saw.

    Attributes:
        number: Its height.
        hash: Its hash.
        timestamp: Its time.
    """

    number: int
    hash: bytes
    timestamp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(_Record):
    """Proof that a transaction of ours was executed and did not revert.

    Attributes:
        tx_hash: The transaction.
        block_number: Its block.
        block_hash: That block's hash.
        gas_used: What it cost.
        contract: Address of the contract it made; None for calls.
    """

    tx_hash: bytes
    block_number: int
    block_hash: bytes
    gas_used: int
    contract: bytes | None = None
