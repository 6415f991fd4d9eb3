"""Runs the demo's rounds inside this process, over Flower's grid without a network."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from flwr.app import Message, MessageType

from coordinator.app import make_server_app
from coordinator.demo.holders import CLIENT_APP, Hospital
from coordinator.engines.faults import Die, Fault
from coordinator.engines.local import run_local
from coordinator.engines.local_node import Handler
from coordinator.engines.references import load
from coordinator.engines.settings import Setting
from coordinator.store.events import Event


class DiesInRound:
    """The last hospital trains in one round, and is gone for good before its answer leaves.

    Args:
        node: Its position.
        number: The round; 0 for never.
    """

    def __init__(self, node: int, number: int) -> None:
        self._node = node
        self._number = number

    def before(self, node: int, message: Message) -> Fault | None:
        """Nothing happens before training."""
        return None

    def after(self, node: int, reply: Message) -> Fault | None:
        """The node dies with its contribution."""
        metadata = reply.metadata
        mine = node == self._node and metadata.message_type == MessageType.TRAIN
        return Die() if mine and metadata.group_id == str(self._number) else None


def run_in_process(
    hospitals: Sequence[Hospital],
    config: Mapping[str, Setting],
    *,
    drop: int,
    listener: Callable[[Event], None],
) -> None:
    """Run the ServerApp against one node per hospital.

    Args:
        hospitals: Whose nodes take part; their doors are opened here.
        config: The ServerApp's settings.
        drop: Round in which the last hospital dies; 0 for none.
        listener: Called with every event.
    """
    doors = [hospital.serve_in_process() for hospital in hospitals]
    with _collector_spared():
        run_local(
            make_server_app(listener),
            cast(Handler, load(CLIENT_APP)),
            [{"door": door} for door in doors],
            config,
            faults=DiesInRound(len(hospitals) - 1, drop),
        )


@contextmanager
def _collector_spared() -> Iterator[None]:
    """Keep the cycle collector from walking over all that torch, py-evm and the rest brought in, again and again.

    Four nodes' ledgers and the coordinator live in this one process and make many short-lived objects.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
