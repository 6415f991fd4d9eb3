"""Wraps an averaging Flower strategy so that it only ever sees the sum of encrypted updates.

``ProtectedStrategy(FedAvg(), ...)`` is a Flower strategy like any other. The inner strategy samples nodes and configures
training; this one opens the round on the ledger, attaches the header, folds the encrypted replies one by one, commits the
accepted set, has the committee check the shares, commits the included set, asks for the sums of shares, opens the aggregate
and hands the inner strategy a single reply that carries the next model. Strategies that look at single updates (Krum, median, trimmed mean) cannot work this way, on purpose.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from coordinator.committee import Asked, Committee, FlowerCommittee
from coordinator.context import RunContext
from coordinator.engines.exchange import Answer
from coordinator.enrolment import learn_prekey
from coordinator.errors import RoundFailed
from coordinator.flower_messages import array_record, reported_times, sealed_bytes, tensors_of
from coordinator.rounds.machine import IncludedSet
from coordinator.session import Requests, RoundSession
from coordinator.streaming import StreamingGrid, reason_of
from fl_core.errors import RemoteProtocolError
from fl_core.models.step import apply_step
from fl_core.protocol import envelope
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.opening import Aggregate
from fl_core.protocol.relay import DutyKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the coordinator waits, in seconds.

    Attributes:
        train: For the contributions of a round.
        reveal: For the committee's answers.
        poll: Longest pause between two looks for an answer.
    """

    train: float
    reveal: float
    poll: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the committee is asked, and where its answers go.

    Attributes:
        asked: The question, as the committee's carrier knows it.
        requests: Yields account and request of one member after the other.
        take: Takes one answer.
    """

    asked: Asked
    requests: Callable[[RoundSession], Requests]
    take: Callable[[RoundSession, bytes], None]


SHARE_CHECK = Question(
    asked=Asked(
        name="share check",
        message_type=envelope.CHECK_TYPE,
        field=envelope.CHECK,
        duty=DutyKind.CHECK,
    ),
    requests=RoundSession.check_requests,
    take=RoundSession.add_check,
)
REVEAL = Question(
    asked=Asked(
        name="reveal",
        message_type=envelope.REVEAL_TYPE,
        field=envelope.REVEAL,
        duty=DutyKind.REVEAL,
    ),
    requests=RoundSession.requests,
    take=RoundSession.add_reveal,
)
BLAME = Question(
    asked=Asked(
        name="question about a spoilt sum",
        message_type=envelope.BLAME_TYPE,
        field=envelope.BLAME,
        duty=DutyKind.BLAME,
    ),
    requests=RoundSession.blame_requests,
    take=RoundSession.add_blame,
)
WEIGHTS = Question(
    asked=Asked(
        name="weight",
        message_type=envelope.WEIGHT_TYPE,
        field=envelope.WEIGHT,
        duty=DutyKind.WEIGHT,
    ),
    requests=RoundSession.weight_requests,
    take=RoundSession.add_weight,
)


class ProtectedStrategy(Strategy):
    """Secure aggregation, ledger and archive around an averaging strategy.

    Args:
        inner: The Flower strategy; FedAvg or another that works on a weighted mean of models.
        context: The open run.
        accounts: Flower node id -> account on the ledger.
        patience: How long to wait.
        window: How many messages may be unanswered at a time; bounds the SuperLink's memory. None is all.
        committee: Carries questions to the committee; None asks through Flower's grid.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        context: RunContext,
        accounts: Mapping[int, bytes],
        patience: Patience,
        window: int | None = None,
        committee: Committee | None = None,
    ) -> None:
        self._committee = committee
        self._inner = inner
        self._context = context
        self._accounts = accounts
        self._patience = patience
        self._window = window
        self._grid: Grid | None = None
        self._round: RoundSession | None = None

    def summary(self) -> None:
        """Log the inner strategy's summary."""
        self._inner.summary()

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the federation as :meth:`flwr.serverapp.strategy.Strategy.start` does, with streamed replies."""
        self._grid = grid
        streaming = StreamingGrid(grid, window=self._window, poll_s=self._patience.poll, lost=self._lost)
        return super().start(
            streaming, initial_arrays, num_rounds, timeout, train_config, evaluate_config, evaluate_fn
        )

    # ------------------------------------------------------------------ training

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Open a round on the ledger and return one message for each node that the inner strategy sampled.

        Returns no message when too few nodes are at hand: the round fails and the next one is tried.
        """
        c = self._context
        if self._committee is not None:
            self._committee.learn(c.prekeys)
        sampled = [m for m in self._inner.configure_train(server_round, arrays, config, grid)]
        nodes = [m.metadata.dst_node_id for m in sampled if m.metadata.dst_node_id in self._accounts]
        tensors, deadline = tensors_of(arrays), c.clock() + math.ceil(self._patience.train)
        try:
            self._round = RoundSession(c, tensors, (self._accounts[node] for node in nodes), deadline)
        except RoundFailed as error:
            self._round = None
            c.events.emit("round-failed", round=server_round, reason=str(error))
            return []
        header = self._round.header
        c.events.emit(
            "round-opened",
            round=header.round,
            cohort=[self._name(account) for account in header.cohort],
            threshold=header.threshold,
            n_min=header.n_min,
            model_bytes=sum(tensor.nbytes for tensor in tensors.values()),
            budget_spent=self._round.spent_before,
        )
        control = ConfigRecord(
            {
                envelope.HEADER: header.encode(),
                envelope.PREKEYS: [self._round.prekeys[seat.address].encode() for seat in header.committee],
            }
        )
        return [
            Message(
                RecordDict({**m.content, envelope.CONTROL: control}),
                dst_node_id=m.metadata.dst_node_id,
                message_type=m.metadata.message_type,
                group_id=str(header.round),
                ttl=self._patience.train,
            )
            for m in sampled
            if self._accounts.get(m.metadata.dst_node_id) in header.cohort
        ]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Take the replies as they arrive and carry the round to its model; ``(None, None)`` when it fails."""
        session = self._round
        if session is None:
            return None, None
        try:
            times = self._collect(session, replies)
            session.commit()
            self._ask(session, SHARE_CHECK)
            included = session.include()
            self._emit_sets(session, included)
            self._ask(session, REVEAL)
            aggregate = session.open()
            if aggregate.failed:
                self._ask(session, BLAME)
            if self._context.terms.opens_weights:
                self._ask(session, WEIGHTS)
            tensors = apply_step(self._context.terms.strategy, session.tensors, aggregate.update)
            arrays, metrics = self._hand_over(server_round, array_record(tensors), session.header, aggregate)
            session.finalise(tensors_of(arrays))
        except (RoundFailed, RemoteProtocolError) as error:
            session.abort()
            self._emit("round-failed", session, reason=str(error))
            return None, None
        self._emit_finalised(session, aggregate, times)
        return arrays, metrics

    def _collect(self, session: RoundSession, replies: Iterable[Message]) -> dict[str, float]:
        """Fold the replies one by one; a bad one is a drop-out with a reason, never the end of the round."""
        times = {envelope.TRAIN_MS: 0.0, envelope.PROTECT_MS: 0.0}
        for reply in replies:
            account = self._accounts[reply.metadata.src_node_id]
            try:
                frame = session.accept(sealed_bytes(reply, envelope.FRAME))
            except RemoteProtocolError as error:
                self._emit("contribution-refused", session, holder=self._name(account), reason=str(error))
                continue
            learn_prekey(self._context.prekeys, account, reply)
            reported = reported_times(reply)
            times = {name: max(times[name], reported.get(name, 0.0)) for name in times}
            self._emit(
                "contribution",
                session,
                holder=self._name(account),
                bytes=len(frame.ciphertext) + sum(map(len, frame.boxes)),
                ciphertext_bytes=len(frame.ciphertext),
            )
        return times

    def _ask(self, session: RoundSession, question: Question) -> None:
        """Ask the committee until all have answered or the patience is over."""
        header, asked = session.header, question.asked
        for told in self._committee_now().ask(
            asked, header.round, question.requests(session), header.threshold
        ):
            facts = {"holder": self._name(told.account), "question": asked.name}
            if told.data is None:
                self._emit("answer-lost", session, **facts, reason=told.why)
                continue
            try:
                question.take(session, told.data)
            except RemoteProtocolError as error:
                self._emit("answer-refused", session, **facts, reason=str(error))
                continue
            self._emit("answer", session, **facts)

    def _committee_now(self) -> Committee:
        """Return who carries questions: the one that was given, or Flower's grid."""
        if self._committee is not None:
            return self._committee
        assert self._grid is not None
        return FlowerCommittee(
            self._grid,
            self._accounts,
            patience_s=self._patience.reveal,
            poll_s=self._patience.poll,
            window=self._window,
        )

    def _hand_over(
        self, server_round: int, arrays: ArrayRecord, header: RoundHeader, aggregate: Aggregate
    ) -> tuple[ArrayRecord, MetricRecord]:
        """Give the inner strategy one reply that carries the next model, so that its own step and metrics run."""
        counters = dict(zip(header.counters, aggregate.counters, strict=True))
        metrics = MetricRecord({envelope.EXAMPLES: aggregate.count, **counters})
        content = RecordDict({envelope.ARRAYS: arrays, envelope.METRICS: metrics})
        reply = Message(content, dst_node_id=0, message_type=MessageType.TRAIN)
        result, inner_metrics = self._inner.aggregate_train(server_round, [reply])
        if result is None:
            raise RoundFailed("the inner strategy made no model of the aggregate")
        return result, inner_metrics if inner_metrics is not None else metrics

    # ------------------------------------------------------------------ no separate evaluation

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return no message: holders count correct answers of each model they receive, and the counts travel encrypted."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return nothing: there is nothing to aggregate."""
        return None

    # ------------------------------------------------------------------ events

    def _name(self, account: bytes) -> str:
        return self._context.names.get(account, account.hex())

    def _lost(self, answer: Answer) -> None:
        if self._round is not None:
            holder = self._name(self._accounts.get(answer.node_id, b""))
            self._emit("contribution-lost", self._round, holder=holder, reason=reason_of(answer))

    def _emit(self, event: str, session: RoundSession, **values: object) -> None:
        self._context.events.emit(event, round=session.header.round, **values)

    def _emit_sets(self, session: RoundSession, included: IncludedSet) -> None:
        found = included.exclusions
        self._emit(
            "sets-committed",
            session,
            included=[self._name(member) for member in included.members],
            excluded=[{"holder": self._name(e.client), "reason": e.reason.value} for e in found.excluded],
            unreliable=[self._name(member) for member in found.unreliable],
        )

    def _emit_finalised(
        self, session: RoundSession, aggregate: Aggregate, times: Mapping[str, float]
    ) -> None:
        watch = session.stopwatch
        self._emit(
            "round-finalised",
            session,
            included=aggregate.count,
            failed_elements=len(aggregate.failed),
            blamed=[self._name(client) for client in session.spoilers()],
            unopened=[self._name(client) for client in session.unopened()],
            liars=[self._name(member) for member in session.liars],
            counters=dict(zip(session.header.counters, aggregate.counters, strict=True)),
            train_ms=round(times[envelope.TRAIN_MS], 1),
            holder_protection_ms=round(times[envelope.PROTECT_MS], 1),
            coordinator_protection_ms=watch.milliseconds("protection"),
            ledger_ms=watch.milliseconds("ledger"),
            archive_ms=watch.milliseconds("archive"),
            gas=self._context.writer.gas_used - session.gas_before,
        )
