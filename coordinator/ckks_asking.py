"""How the coordinator reaches holders in the CKKS mode: one step to many, answers as they arrive, silence as events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flwr.app import ConfigRecord, Message, MessageType, RecordDict
from flwr.serverapp import Grid

from coordinator.context import RunContext
from coordinator.engines.exchange import Answer, connected, exchange
from coordinator.flower_messages import sealed_bytes, sealed_record
from coordinator.strategy import Patience
from coordinator.streaming import reason_of
from fl_core.errors import DecodeError
from fl_core.protocol import envelope
from fl_core.secagg.ckks.steps import CkksStep, encode_step


@dataclass(frozen=True, slots=True)
class Asking:
    """How holders are reached.

    Attributes:
        grid: Flower's grid.
        run: The open run.
        holders: Account -> Flower node id.
        patience: How long to wait.
    """

    grid: Grid
    run: RunContext
    holders: Mapping[bytes, int]
    patience: Patience

    def name(self, account: bytes) -> str:
        """Return a holder's name for people."""
        return self.run.names.get(account, account.hex())

    def query(
        self, accounts: Iterable[bytes], step: CkksStep, payload: bytes, number: int = 0
    ) -> Iterator[tuple[bytes, bytes]]:
        """Ask holders for a step and yield (account, answer); who does not answer becomes an event."""
        content = {envelope.SEALED: sealed_record(envelope.CKKS, encode_step(step, payload))}
        for account, answer in self._exchange(
            accounts, content, envelope.CKKS_TYPE, self.patience.reveal, number
        ):
            if answer.reply is None:
                self.lost("answer-lost", number, account, reason_of(answer))
                continue
            try:
                yield account, sealed_bytes(answer.reply, envelope.CKKS)
            except DecodeError as error:
                self.lost("answer-refused", number, account, str(error))

    def train(
        self, accounts: Iterable[bytes], payload: bytes, number: int
    ) -> Iterator[tuple[bytes, Message]]:
        """Ask holders to train and yield (account, reply); who does not answer becomes an event."""
        content = {
            envelope.CONTROL: ConfigRecord({envelope.CKKS: True}),
            envelope.SEALED: sealed_record(envelope.CKKS, encode_step(CkksStep.BEGIN, payload)),
        }
        for account, answer in self._exchange(
            accounts, content, MessageType.TRAIN, self.patience.train, number
        ):
            if answer.reply is None:
                self.lost("contribution-lost", number, account, reason_of(answer))
            else:
                yield account, answer.reply

    def lost(self, event: str, number: int, account: bytes, reason: str) -> None:
        """Tell that a holder is left out of something."""
        self.run.events.emit(event, round=number, holder=self.name(account), reason=reason)

    def _exchange(
        self,
        accounts: Iterable[bytes],
        content: Mapping[str, object],
        kind: str,
        deadline: float,
        number: int,
    ) -> Iterator[tuple[bytes, Answer]]:
        alive, nodes = set(connected(self.grid)), dict(self.holders)
        messages = [
            Message(
                RecordDict(dict(content)),  # type: ignore[arg-type]  # records by name
                dst_node_id=nodes[account],
                message_type=kind,
                group_id=str(number),
                ttl=deadline,
            )
            for account in accounts
            if nodes[account] in alive
        ]
        owners = {node: account for account, node in nodes.items()}
        for answer in exchange(self.grid, messages, deadline_s=deadline, max_poll_s=self.patience.poll):
            yield owners[answer.node_id], answer
