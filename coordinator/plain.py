"""A run without any protection, for comparison: Flower's own federated averaging, no ledger, updates in the clear."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg

from coordinator.flower_messages import array_record, tensors_of
from coordinator.store.events import EventLog
from coordinator.streaming import StreamingGrid
from fl_core.models import decode_model, encode_model
from fl_core.protocol import envelope
from fl_core.protocol.terms import Terms
from ledger.files import write_atomically

MAX_MODEL_BYTES = 1 << 32


class PlainFedAvg(FedAvg):
    """Federated averaging whose messages name the task and its settings, since no terms are on a ledger.

    Args:
        terms: What a protected run would have on the ledger.
        events: What people see.
    """

    def __init__(self, terms: Terms, events: EventLog) -> None:
        super().__init__(min_train_nodes=1, min_available_nodes=1)
        self._terms = terms
        self._events = events

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Attach the task."""
        control = ConfigRecord(
            {
                envelope.TASK: self._terms.task,
                envelope.SETTINGS: json.dumps(self._terms.task_settings),
                envelope.ROUND: server_round,
            }
        )
        self._events.emit("round-opened", round=server_round, cohort=[], threshold=0, n_min=0, model_bytes=0)
        messages = list(super().configure_train(server_round, arrays, config, grid))
        return [
            Message(
                RecordDict({**m.content, envelope.CONTROL: control}),
                dst_node_id=m.metadata.dst_node_id,
                message_type=m.metadata.message_type,
            )
            for m in messages
        ]

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return no message: the counters of training say how the received model does."""
        return []

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average the models and add up the counters."""
        usable = [reply for reply in replies if not reply.has_error()]
        reported = [reply.content.metric_records[envelope.METRICS] for reply in usable]
        counters = {name: sum(_number(record, name) for record in reported) for name in self._terms.counters}
        train_ms = max((_number(record, envelope.TRAIN_MS) for record in reported), default=0.0)
        result = super().aggregate_train(server_round, usable)
        self._events.emit(
            "round-finalised",
            round=server_round,
            included=len(usable),
            counters=counters,
            train_ms=round(train_ms, 1),
            holder_protection_ms=0.0,
            coordinator_protection_ms=0.0,
            ledger_ms=0.0,
            archive_ms=0.0,
        )
        return result


def _number(record: MetricRecord, name: str) -> float:
    """Return a number that a node reports."""
    value = record[name]
    return float(value) if isinstance(value, int | float) else float("nan")


def run_plain(
    grid: Grid, folder: Path, events: EventLog, *, rounds: int, deadline_s: float, poll_s: float
) -> None:
    """Run federated averaging in the clear; reads ``terms.json`` and ``initial.safetensors``, writes ``model.safetensors``."""
    terms = Terms.decode((folder / "terms.json").read_bytes())
    tensors = decode_model((folder / "initial.safetensors").read_bytes(), MAX_MODEL_BYTES)
    streaming = StreamingGrid(
        grid,
        window=None,
        poll_s=poll_s,
        lost=lambda answer: events.emit("contribution-lost", holder="", reason=answer.why.value),
    )
    strategy = PlainFedAvg(terms, events)
    result = strategy.start(streaming, array_record(tensors), num_rounds=rounds, timeout=deadline_s)
    write_atomically(folder / "model.safetensors", encode_model(tensors_of(result.arrays)))
    events.emit("run-finished", finalised=rounds)
