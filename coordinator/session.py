"""A round in progress: performs what the round machine decides, on the ledger, in the archive and on disk.

Each method is one step of a round. The order within a step is always the same: evidence into the archive, intent into the
journal, transaction on the ledger. A transaction carries an intent made of run, round and step, so that a step that is
repeated after a crash is sent once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future

from coordinator.context import RunContext
from coordinator.errors import RunStateError
from coordinator.evidence import EvidenceWriter
from coordinator.history import blamed, earned, newest_finalised, newest_model, noted, publish, settle
from coordinator.offered import is_genuine
from coordinator.papers import decode_blocks, encode_blocks, round_paper
from coordinator.rounds.blame import BlameMachine
from coordinator.rounds.machine import IncludedSet, Opened, RoundMachine
from coordinator.rounds.plan import Situation, first_blocks, plan_header
from coordinator.rounds.weights import WeightMachine
from coordinator.store.boxes import BoxFolder
from coordinator.store.journal import Entry
from coordinator.timing import Stopwatch
from fl_core.digests import DIGEST_SIZE
from fl_core.lattice.parameters import PARAMETER_SETS
from fl_core.models import Tensors, encode_model, model_digest, same_model
from fl_core.models.step import FEDAVG, apply_step
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.messages import Frame
from fl_core.protocol.opening import Aggregate, key_digest
from fl_core.protocol.setup import layout_of, quantiser_of
from fl_core.protocol.statements import Acceptance
from fl_core.quantise import Block
from fl_core.secagg import shamir
from ledger.documents import encode_metrics, encode_rewards
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.papers import RoundPaper
from ledger.records import EMPTY_WORD, Role
from ledger.rewards import RoundFacts, allocate, rewards_tree
from ledger.typed_data import model_id

Requests = Iterator[tuple[bytes, bytes]]
"""Account and encoded request of one member after the other."""


class RoundSession:
    """One round of a run, from its header to its model.

    Args:
        context: The open run.
        tensors: The model to train from; must be the newest one on the ledger.
        at_hand: Accounts of the nodes that can take part.
        deadline: Unix time in seconds until which contributions are accepted.

    Raises:
        RoundFailed: Too few nodes are at hand.
        RunStateError: The model is not the newest on the ledger.
    """

    def __init__(
        self, context: RunContext, tensors: Tensors, at_hand: Iterable[bytes], deadline: int
    ) -> None:
        self._context = context
        self.tensors = tensors
        self._notary = LedgerNotary(context.reader.chain_id, context.reader.address)
        self._signer = LedgerSigner(self._notary, context.account)
        self.stopwatch = Stopwatch()
        self.gas_before = context.writer.gas_used
        self._evidence = EvidenceWriter(context.archive)
        with self.stopwatch.measure("ledger"):
            self.header = self._open(at_hand, deadline)
            self.prekeys = {seat.address: context.prekeys[seat.address] for seat in self.header.committee}
            signers = {a: context.reader.keys(a).signer for a in self.header.cohort}
        self._spool = BoxFolder(context.private / "boxes")
        self.machine = RoundMachine(self.header, signers=signers, notary=self._notary, spool=self._spool)
        self._archived: dict[bytes, tuple[Future[bytes], Future[bytes]]] = {}
        self._receipts: dict[bytes, bytes] = {}
        self._included: IncludedSet | None = None
        self._opened: Opened | None = None
        self._blame: BlameMachine | None = None
        self._weights: WeightMachine | None = None

    # ------------------------------------------------------------------ steps, in order

    def _open(self, at_hand: Iterable[bytes], deadline: int) -> RoundHeader:
        """Plan the header and put it on the ledger."""
        c = self._context
        run = c.reader.run(c.run)
        self.spent_before = run.spent
        number, self._newest = run.opened + 1, newest_finalised(c, run.opened)
        parent, artifact = newest_model(c, self._newest)
        if model_digest(encode_model(self.tensors)) != artifact:
            raise RunStateError("the model to train from is not the newest model on the ledger")
        head = c.reader.head()
        situation = Situation(
            chain_id=c.reader.chain_id,
            contract=c.reader.address,
            run=c.run,
            round=number,
            parent=parent,
            artifact=artifact,
            transport_keys=self._able(at_hand, head.number),
            blocks=self._blocks(),
            beacon_number=head.number,
            beacon=head.hash,
            deadline=deadline,
        )
        header = plan_header(c.terms, situation)
        encoded = header.encode()
        self._evidence.put(encoded)
        c.journal.forget(number)  # left by a crash before the ledger knew the round: nothing of it went out
        c.journal.write(number, Entry.HEADER, encoded)
        c.writer.open_round(c.run, number, parent, header.digest, intent=self._intent(number, "open"))
        c.vouch()
        return header

    def _able(self, at_hand: Iterable[bytes], beacon: int) -> dict[bytes, bytes]:
        """Return the prekeys' digests of those who may take part: one who may not would make all others refuse.

        Left out are accounts that are no holders, do not consent to the run's terms now, signed no prekey with their
        registered key, registered it in the beacon's block or later, or spoilt the sum of an earlier round.
        """
        c, able = self._context, {}
        spoilers = blamed(c)
        for account in at_hand:
            keys, consent = c.reader.keys(account), c.reader.consent(c.run, account)
            prekey = c.prekeys.get(account)
            if (
                account not in spoilers
                and Role.HOLDER in c.reader.member(account).roles
                and consent == c.terms.digest
                and keys.block < beacon
                and prekey is not None
                and is_genuine(prekey, c.reader)
            ):
                able[account] = prekey.digest
            else:
                c.events.emit("holder-left-out", holder=c.names.get(account, account.hex()))
        return able

    def accept(self, data: bytes) -> Frame:
        """Check, fold and archive one contribution.

        Raises:
            DecodeError: It is malformed.
            VerificationError: A check failed; nothing changed.
        """
        with self.stopwatch.measure("protection"):
            accepted, frame = self.machine.accept(data)
        with self.stopwatch.measure("archive"):
            leaf = self._evidence.put(accepted.leaf.encode())
            ciphertext = self._evidence.put(frame.ciphertext)
        self._archived[frame.leaf.statement.member] = (leaf, ciphertext)
        return frame

    def commit(self) -> None:
        """Commit V on the ledger.

        Raises:
            RoundFailed: Too few contributions arrived.
        """
        c, number = self._context, self.header.round
        accepted = self.machine.commit()
        with self.stopwatch.measure("archive"):
            self._evidence.wait()
        with self.stopwatch.measure("ledger"):
            c.journal.write(number, Entry.ACCEPTED, accepted.root)
            c.writer.commit_round(
                c.run, number, accepted.root, accepted.count, intent=self._intent(number, "commit")
            )
            c.vouch()

    def check_requests(self) -> Requests:
        """Yield what to ask each member of the committee in the share check; one is in memory at a time."""
        for member in self._seats():
            with self.stopwatch.measure("protection"):
                request = self.machine.check_request(member, self._receipt(member)).encode()
            yield member, request

    def add_check(self, data: bytes) -> None:
        """Check and archive one member's values.

        Raises:
            DecodeError: They are malformed.
            VerificationError: A check failed; nothing changed.
        """
        with self.stopwatch.measure("protection"):
            self.machine.add_check(data)
        self._evidence.put(data)

    def include(self) -> IncludedSet:
        """Commit U on the ledger: who passed the share check.

        Raises:
            RoundFailed: Too few members answered, or too few contributions are left.
        """
        c, number = self._context, self.header.round
        with self.stopwatch.measure("protection"):
            self._included = included = self.machine.include(self._ciphertext_of)
        self._evidence.put(included.exclusions.encode())
        with self.stopwatch.measure("archive"):
            self._evidence.wait()
        with self.stopwatch.measure("ledger"):
            c.journal.write(number, Entry.INCLUDED, included.root)
            c.writer.commit_included(
                c.run,
                number,
                included.root,
                len(included.members),
                included.exclusions.digest,
                intent=self._intent(number, "include"),
            )
            c.vouch()
        return included

    def requests(self) -> Requests:
        """Yield what to ask each member of the committee at the reveal; one is in memory at a time."""
        for member in self._seats():
            with self.stopwatch.measure("protection"):
                request = self.machine.request(member, self._receipt(member)).encode()
            yield member, request

    def add_reveal(self, data: bytes) -> None:
        """Check and archive one member's answer.

        Raises:
            DecodeError: It is malformed.
            VerificationError: A check failed; nothing changed.
        """
        with self.stopwatch.measure("protection"):
            self.machine.add_reveal(data)
        self._evidence.put(data)

    @property
    def liars(self) -> tuple[bytes, ...]:
        """Members whose answers were not their shares of the aggregate key."""
        return () if self._opened is None else self._opened.liars

    def open(self) -> Aggregate:
        """Open the aggregate.

        Raises:
            RoundFailed: Too few members answered.
            VerificationError: The answers do not fit the ciphertexts.
        """
        with self.stopwatch.measure("protection"):
            self._opened = self.machine.open()
        key = key_digest(self.header, self._opened.key)
        self._context.journal.write(self.header.round, Entry.KEY, key)
        return self._opened.aggregate

    def blame_requests(self) -> Requests:
        """Yield what to ask each member about a sum that failed; nothing where none failed or the terms allow no question."""
        assert self._opened is not None
        if self._context.terms.blame_opening:
            self._blame = self.machine.blame(self._opened, self._ciphertext_of)
        for member in self._seats() if self._blame is not None else ():
            assert self._blame is not None
            with self.stopwatch.measure("protection"):
                request = self._blame.request(member).encode()
            yield member, request

    def add_blame(self, data: bytes) -> None:
        """Check and archive one member's answer about a sum that failed.

        Raises:
            DecodeError: It is malformed.
            VerificationError: A check failed; nothing changed.
        """
        assert self._blame is not None
        self._blame.add(data)
        self._evidence.put(data)

    def spoilers(self) -> tuple[bytes, ...]:
        """Return the clients who spoilt the sum, as far as the members' answers tell."""
        return () if self._blame is None else self._blame.spoilers()

    def weight_requests(self) -> Requests:
        """Yield what to ask each included client for its weight; nothing under terms that do not pay by examples."""
        assert self._opened is not None
        if self._context.terms.opens_weights:
            self._weights = self.machine.weights(self._opened)
            request = self._weights.request().encode()
            for client in self._weights.clients:
                yield client, request

    def add_weight(self, data: bytes) -> None:
        """Check and archive one client's opened weight.

        Raises:
            DecodeError: It is malformed.
            VerificationError: A check failed; nothing changed.
        """
        assert self._weights is not None
        self._weights.add(data)
        self._evidence.put(data)

    def unopened(self) -> tuple[bytes, ...]:
        """Return the included clients who opened no weight although they were asked."""
        if self._weights is None:
            return ()
        return tuple(client for client in self._weights.clients if client not in self._weights.openings)

    def _facts(self) -> RoundFacts:
        """Return what the round's reward is divided by."""
        assert self._included is not None
        if self._weights is None:
            return RoundFacts(included=self._included.members, weights_fit=False)
        return RoundFacts(
            included=self._included.members, weights=self._weights.weights, weights_fit=self._weights.fit()
        )

    def finalise(self, tensors: Tensors) -> bytes:
        """Put the new model on the ledger and return its id.

        Raises:
            RunStateError: The strategy did not make the model that the terms' step makes from the aggregate.
        """
        c, number = self._context, self.header.round
        assert self._opened is not None and self._included is not None
        aggregate = self._opened.aggregate
        model = encode_model(tensors)
        artifact = model_digest(model)
        if not same_model(tensors, apply_step(c.terms.strategy, self.tensors, aggregate.update)):
            raise RunStateError(
                f"the strategy's model is not the one that {FEDAVG!r} makes from the aggregate"
            )
        metrics = encode_metrics(self.header, aggregate, c.random.secret(DIGEST_SIZE).reveal())
        paid = allocate(c.terms.reward_policy, self._facts(), c.terms.reward_per_round, self._earned())
        rewards = encode_rewards(c.run, paid.earned) if paid.reward else b""
        blocks = quantiser_of(self.header).next_blocks(
            aggregate.sums, aggregate.count, floor=c.terms.clip_floor, factor=c.terms.clip_factor
        )
        with self.stopwatch.measure("archive"):
            papers = self._papers(metrics, rewards, model)
        c.journal.write(number, Entry.PAPER, papers.encode())
        c.journal.write(number, Entry.MODEL, artifact)
        c.journal.write(number, Entry.BLOCKS, encode_blocks(blocks))
        c.journal.write(number, Entry.REWARDS, rewards)
        c.journal.write(number, Entry.BLAMED, b"".join(self.spoilers()))
        with self.stopwatch.measure("ledger"):
            c.writer.finalise_round(
                c.run,
                number,
                artifact,
                key_digest(self.header, self._opened.key),
                model_digest(metrics),
                rewards_tree(c.run, paid.earned).root if rewards else EMPTY_WORD,
                paid.reward,
                intent=self._intent(number, "finalise"),
            )
        publish(c, number, model)
        self._close()
        self.machine.finalise()
        return model_id(c.run, number, artifact)

    def _papers(self, metrics: bytes, rewards: bytes, model: bytes) -> RoundPaper:
        """Archive what is left and return the round's paper; everything it names is on disk then."""
        assert self._opened is not None and self._included is not None
        key = shamir.encode_vector(PARAMETER_SETS[self.header.parameter_set], self._opened.key)
        paper = round_paper(
            header=self.header,
            archived=self._archived,
            included=self._included,
            prekeys={member: prekey.encode() for member, prekey in self.prekeys.items()},
            checks={member: answer.encode() for member, answer in self.machine.checks.items()},
            blames={} if self._blame is None else {m: a.encode() for m, a in self._blame.answers.items()},
            blamed=self.spoilers(),
            weights={}
            if self._weights is None
            else {c: opening.encode() for c, opening in self._weights.openings.items()},
            reveals={member: reveal.encode() for member, reveal in self.machine.reveals.items()},
            objects={"aggregate_key": key, "metrics": metrics, "rewards": rewards, "model": model},
            put=self._evidence.put,
        )
        self._evidence.wait()
        return paper

    def abort(self) -> None:
        """Give the round up; the run goes on with the next number and the same model."""
        self._close()
        settle(self._context, self.header.round)
        self.machine.abort()

    def _close(self) -> None:
        self._evidence.close()
        self._spool.clear()

    def _seats(self) -> tuple[bytes, ...]:
        return tuple(seat.address for seat in self.header.committee)

    def _receipt(self, member: bytes) -> bytes:
        """Return the signed receipt for a member's contribution, or nothing when it made none."""
        if member not in self._receipts:
            mine = next((a for a in self.machine.accepted if a.leaf.statement.member == member), None)
            if mine is None:
                return b""
            self._receipts[member] = self._signer.sign(
                Acceptance(
                    run=self.header.run, round=self.header.round, member=member, contribution=mine.digest
                )
            )
        return self._receipts[member]

    def _ciphertext_of(self, client: bytes) -> bytes:
        """Return an accepted client's ciphertext from the archive."""
        digest = self._archived[client][1].result()
        return self._context.archive.get(digest, layout_of(self.header).ciphertext_bytes)

    # ------------------------------------------------------------------ what earlier rounds left

    def _blocks(self) -> tuple[Block, ...]:
        """Return the clips that the newest finalised round led to; a round that was aborted leaves none."""
        if self._newest == 0:
            return first_blocks(self._context.terms)
        return decode_blocks(noted(self._context, self._newest, Entry.BLOCKS))

    def _earned(self) -> dict[bytes, int]:
        return earned(self._context, self._newest)

    def _intent(self, number: int, step: str) -> str:
        return f"{self._context.run.hex()}/{number}/{step}"
