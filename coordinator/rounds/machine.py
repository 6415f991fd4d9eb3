"""One round as a machine without I/O: contributions and answers go in, what to commit and whom to ask comes out.

The caller (:mod:`coordinator.session`) performs the effects in the order in which the machine gives them, and writes each
down before it leaves the process. The order of phases is in :mod:`fl_core.protocol.phases`; the two commits stand between the
last contribution and the first request, so that no member ever sees a set that the ledger does not hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coordinator.errors import RoundFailed
from fl_core.digests import Label, digest
from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.protocol.coordinator import Accepted, Collector, check_reveal, combine
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Frame, Reveal, RevealRequest
from fl_core.protocol.opening import Aggregate, open_aggregate
from fl_core.protocol.phases import Phase, Step, advance
from fl_core.protocol.statements import Notary


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedSet:
    """V, for the ledger's first commit."""

    root: bytes
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IncludedSet:
    """U, for the ledger's second commit.

    Attributes:
        members: Its clients, ascending.
        root: Its root.
        exclusions: The document that says who of V is left out and why.
    """

    members: tuple[bytes, ...]
    root: bytes
    exclusions: bytes

    @property
    def exclusions_digest(self) -> bytes:
        """What the ledger records about the exclusions."""
        return digest(Label.EXCLUSIONS, self.exclusions)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Opened:
    """The aggregate and the key that opened it."""

    aggregate: Aggregate
    key: npt.NDArray[np.uint64]


class RoundMachine:
    """One round.

    Args:
        header: Its header, on the ledger already.
        signers: Account -> address of its registered signing key, for cohort and committee.
        notary: Hashes and verifies statements.
    """

    def __init__(self, header: RoundHeader, *, signers: Mapping[bytes, bytes], notary: Notary) -> None:
        self.header = header
        self.phase = Phase.OPEN
        self._signers = signers
        self._notary = notary
        self._collector = Collector(header, signers=signers, notary=notary)
        self._included: IncludedSet | None = None
        self._reveals: dict[bytes, Reveal] = {}
        self._shares: dict[bytes, npt.NDArray[np.uint64]] = {}

    @property
    def accepted(self) -> tuple[Accepted, ...]:
        """The accepted contributions, ascending by account."""
        return self._collector.accepted

    @property
    def reveals(self) -> Mapping[bytes, Reveal]:
        """The checked answers by account."""
        return self._reveals

    @property
    def enough_answers(self) -> bool:
        """Whether the aggregate key can be opened."""
        return len(self._shares) >= self.header.threshold

    def accept(self, data: bytes) -> tuple[Accepted, Frame]:
        """Take a frame.

        Raises:
            DecodeError: It is malformed.
            VerificationError: A check failed; nothing changed.
        """
        if self.phase is not Phase.OPEN:
            raise VerificationError("the round takes no more contributions")
        frame = self._collector.decode(data)
        return self._collector.accept(frame), frame

    def commit(self) -> AcceptedSet:
        """Close the round for contributions and return V.

        Raises:
            RoundFailed: Too few contributions arrived.
        """
        phase, count = advance(self.phase, Step.COMMIT), len(self.accepted)
        if count < self.header.n_min:
            raise RoundFailed(f"a sum needs {self.header.n_min} contributions, {count} arrived")
        self.phase = phase
        return AcceptedSet(root=self._root(), count=count)

    def include(self) -> IncludedSet:
        """Return U. Every accepted contribution is included; the share check that can exclude some stands before this."""
        self.phase = advance(self.phase, Step.INCLUDE)
        members = tuple(accepted.leaf.statement.member for accepted in self.accepted)
        exclusions = json.dumps([], separators=(",", ":")).encode()
        self._included = IncludedSet(members=members, root=self._root(), exclusions=exclusions)
        return self._included

    def request(self, member: bytes, receipt: bytes) -> RevealRequest:
        """Return what to ask a member once U is on the ledger.

        Raises:
            LocalProtocolError: There is no included set yet, or the round is over.
        """
        return self._collector.request(member, self._asking().members, receipt)

    def add_reveal(self, data: bytes) -> Reveal:
        """Take a member's answer. The same answer again is no error; a second, different one is evidence against it.

        Raises:
            DecodeError: It is malformed.
            VerificationError: A check failed, the member has given another answer, or the round takes none any more;
                nothing changed.
            LocalProtocolError: There is no included set yet.
        """
        if self.phase not in (Phase.OPEN, Phase.COMMITTED, Phase.INCLUDED):
            raise VerificationError("the round takes no more answers")
        included = self._asking()
        reveal = Reveal.decode(data)
        share = check_reveal(
            self.header, reveal, included_root=included.root, signers=self._signers, notary=self._notary
        )
        earlier = self._reveals.get(reveal.statement.member)
        if earlier is not None and earlier.statement != reveal.statement:
            member = reveal.statement.member.hex()
            raise VerificationError("the member has given another answer to the same question", party=member)
        self._reveals[reveal.statement.member] = reveal
        self._shares[reveal.statement.member] = share
        return reveal

    def open(self) -> Opened:
        """Open the aggregate key and the aggregate. After this no other set of this round may ever be opened.

        Raises:
            RoundFailed: Too few members answered.
            VerificationError: The answers contradict each other, or the key does not fit the ciphertexts.
        """
        phase, included = advance(self.phase, Step.REVEAL), self._asking()
        if not self.enough_answers:
            raise RoundFailed(f"{self.header.threshold} members must answer, {len(self._shares)} did")
        key = combine(self.header, self._shares)
        self.phase = phase
        aggregate = open_aggregate(self.header, self._collector.sums, len(included.members), key)
        return Opened(aggregate=aggregate, key=key)

    def finalise(self) -> None:
        """Note that the new model is on the ledger."""
        self.phase = advance(self.phase, Step.FINALISE)

    def abort(self) -> None:
        """Note that the round is over without a model."""
        self.phase = advance(self.phase, Step.ABORT)

    def _asking(self) -> IncludedSet:
        """Return U while members may be asked about it."""
        if self._included is None or self.phase is not Phase.INCLUDED:
            raise LocalProtocolError(
                f"members are asked about an included set, not in a round that is {self.phase.value}"
            )
        return self._included

    def _root(self) -> bytes:
        return self._notary.root([(a.leaf.statement.member, a.digest) for a in self.accepted])
