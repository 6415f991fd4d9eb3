"""One round as a machine without I/O: contributions and answers go in, what to commit and whom to ask comes out.

The caller (:mod:`coordinator.session`) performs the effects in the order in which the machine gives them, and writes each
down before it leaves the process. The order of phases is in :mod:`fl_core.protocol.phases`; the two commits stand between the
last contribution and the first request, so that no member ever sees a set that the ledger does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from coordinator.errors import RoundFailed
from coordinator.rounds.blame import BlameMachine
from coordinator.rounds.weights import WeightMachine
from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.protocol.blame import find_place
from fl_core.protocol.check_messages import CheckAnswer, CheckRequest
from fl_core.protocol.coordinator import Accepted, BoxSpool, Collector, check_reveal
from fl_core.protocol.exclusions import Exclusions
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Frame, Reveal, RevealRequest
from fl_core.protocol.opening import Aggregate, open_aggregate
from fl_core.protocol.phases import Phase, Step, advance
from fl_core.protocol.recovery import opens, recover_key
from fl_core.protocol.share_check import combined_checks, judge, verify_check_answer
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
        exclusions: Who of V is left out and why.
    """

    members: tuple[bytes, ...]
    root: bytes
    exclusions: Exclusions


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Opened:
    """The aggregate, the key that opened it, and the members whose answers were not their shares of it."""

    aggregate: Aggregate
    key: npt.NDArray[np.uint64]
    liars: tuple[bytes, ...]


class RoundMachine:
    """One round.

    Args:
        header: Its header, on the ledger already.
        signers: Account -> address of its registered signing key, for cohort and committee.
        notary: Hashes and verifies statements.
        spool: Where sealed shares wait; in memory unless another one is given.
    """

    def __init__(
        self,
        header: RoundHeader,
        *,
        signers: Mapping[bytes, bytes],
        notary: Notary,
        spool: BoxSpool | None = None,
    ) -> None:
        self.header = header
        self.phase = Phase.OPEN
        self._signers = signers
        self._notary = notary
        self._collector = Collector(header, signers=signers, notary=notary, spool=spool)
        self._accepted_root = b""
        self._checks: dict[bytes, CheckAnswer] = {}
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
        self.phase, self._accepted_root = phase, self._root(member for member, _ in self._pairs())
        return AcceptedSet(root=self._accepted_root, count=count)

    # ------------------------------------------------------------------ share check

    @property
    def checks(self) -> Mapping[bytes, CheckAnswer]:
        """The checked answers to the share check by account."""
        return self._checks

    def check_request(self, member: bytes, receipt: bytes) -> CheckRequest:
        """Return what to ask a member once V is on the ledger.

        Raises:
            LocalProtocolError: V is not committed, or the share check is over.
        """
        self._expect_phase(Phase.COMMITTED, "members check an accepted set")
        return self._collector.check_request(member, receipt)

    def add_check(self, data: bytes) -> CheckAnswer:
        """Take a member's values. The same ones again are no error; second, different ones are evidence against it.

        Raises:
            DecodeError: They are malformed.
            VerificationError: A check failed, the member has given other values, or the share check is over; nothing
                changed.
        """
        if self.phase is not Phase.COMMITTED:
            raise VerificationError("the round takes no more check answers")
        answer = CheckAnswer.decode(data)
        verify_check_answer(
            self.header,
            answer,
            accepted_root=self._accepted_root,
            accepted_count=len(self.accepted),
            signers=self._signers,
            notary=self._notary,
        )
        earlier = self._checks.setdefault(answer.statement.member, answer)
        if earlier.statement != answer.statement:
            member = answer.statement.member.hex()
            raise VerificationError("the member has given other values before", party=member)
        return answer

    def include(self, ciphertext_of: Callable[[bytes], bytes]) -> IncludedSet:
        """Return U: the accepted contributions whose shares fit. The others are taken out of the sum.

        Args:
            ciphertext_of: Returns the ciphertext of an accepted client, for those that are left out.

        Raises:
            RoundFailed: Too few members answered the share check, or too few contributions are left.
        """
        phase = advance(self.phase, Step.CHECK)
        if len(self._checks) < self.header.threshold:
            raise RoundFailed(
                f"{self.header.threshold} members must answer the share check, {len(self._checks)} did"
            )
        exclusions = judge(
            self.header,
            accepted_root=self._accepted_root,
            combined=[
                (a.leaf.statement.member, combined_checks(self.header, self._accepted_root, a.check_rows))
                for a in self.accepted
            ],
            answers={member: answer.values for member, answer in self._checks.items()},
        )
        left_out = set(exclusions.clients)
        members = tuple(member for member, _ in self._pairs() if member not in left_out)
        if len(members) < self.header.n_min:
            names = ", ".join(f"{e.client.hex()} ({e.reason.value})" for e in exclusions.excluded)
            raise RoundFailed(
                f"a sum needs {self.header.n_min} contributions, {len(members)} passed the share check; not {names}"
            )
        for client in exclusions.clients:
            self._collector.exclude(client, ciphertext_of(client))
        self.phase = advance(phase, Step.INCLUDE)
        self._included = IncludedSet(members=members, root=self._root(members), exclusions=exclusions)
        return self._included

    # ------------------------------------------------------------------ reveal

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
        if self.phase not in (Phase.OPEN, Phase.COMMITTED, Phase.CHECKED, Phase.INCLUDED):
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
        count, sums = len(included.members), self._collector.sums
        recovered = recover_key(self.header, self._shares, accept=opens(self.header, sums, count))
        self.phase = phase
        aggregate = open_aggregate(self.header, sums, count, recovered.key)
        return Opened(aggregate=aggregate, key=recovered.key, liars=recovered.liars)

    def blame(self, opened: Opened, ciphertext_of: Callable[[bytes], bytes]) -> BlameMachine | None:
        """Return the blame opening of a round whose sum failed where one coefficient may be opened, else None."""
        failed, included = opened.aggregate.failed, self._included
        if not failed or included is None or self.phase is not Phase.REVEALED:
            return None
        count, sums = len(included.members), self._collector.sums
        place = find_place(self.header, sums, count, opened.key, failed)
        if place is None:
            return None
        return BlameMachine(
            self.header,
            place=place,
            key=opened.key,
            included=tuple(a for a in self.accepted if a.leaf.statement.member in included.members),
            sealed=self._collector.sealed,
            included_root=included.root,
            signers=self._signers,
            notary=self._notary,
            ciphertext_of=ciphertext_of,
        )

    def weights(self, opened: Opened) -> WeightMachine:
        """Return the round's machine of opened weights, for terms that pay by examples.

        Raises:
            LocalProtocolError: The sum is not open.
        """
        self._expect_phase(Phase.REVEALED, "weights are opened after the sum")
        assert self._included is not None
        members = set(self._included.members)
        return WeightMachine(
            self.header,
            included=tuple(a for a in self.accepted if a.leaf.statement.member in members),
            weight_units=opened.aggregate.weight_units,
        )

    def finalise(self) -> None:
        """Note that the new model is on the ledger."""
        self.phase = advance(self.phase, Step.FINALISE)

    def abort(self) -> None:
        """Note that the round is over without a model."""
        self.phase = advance(self.phase, Step.ABORT)

    def _asking(self) -> IncludedSet:
        """Return U while members may be asked about it."""
        self._expect_phase(Phase.INCLUDED, "members are asked about an included set")
        assert self._included is not None
        return self._included

    def _expect_phase(self, phase: Phase, rule: str) -> None:
        if self.phase is not phase:
            raise LocalProtocolError(f"{rule}, not in a round that is {self.phase.value}")

    def _pairs(self) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((accepted.leaf.statement.member, accepted.digest) for accepted in self.accepted)

    def _root(self, members: Iterable[bytes]) -> bytes:
        chosen = set(members)
        return self._notary.root([pair for pair in self._pairs() if pair[0] in chosen])
