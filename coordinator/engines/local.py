"""A Flower grid inside this process: the same ServerApp and ClientApp as in a deployment, no port, no child process.

:class:`LocalGrid` implements Flower's public ``Grid``. Every message and reply is serialised and rebuilt by Flower's own
code on its way, so nothing is shared between the sides by accident, sizes are those of the wire, and what Flower cannot
carry fails here too. One thread per node takes one message at a time. :mod:`~coordinator.engines.faults` can be injected.

Errors look as in a deployment, only sooner: code 2 when a ClientApp raises, 5 when its node is gone (whether or not its
reply had arrived), 3 when the message's time to live is over or its reply was already taken. Rejected messages get the
id ``""``.

It is not a sandbox and does not test what a deployment can lose: process start, installed bundle, network.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

from flwr.app import Context, Message, Metadata, RecordDict
from flwr.serverapp import Grid, ServerApp

from coordinator.engines.environment import quiet_flower
from coordinator.engines.faults import Faults, NoFaults
from coordinator.engines.flower_private import (
    SUPERLINK_NODE_ID,
    Packed,
    ServerRun,
    empty_run,
    error_from_superlink,
    identify,
    name_message,
    pack,
    unpack,
)
from coordinator.engines.local_node import Handler, LocalNode
from coordinator.engines.settings import Setting

RUN_ID = 1
"""Flower's id of every local run. It is process-wide state of Flower, so two grids may not differ in it."""

FIRST_NODE_ID = 2**63 + 1
"""Node ids start here: as wide as the random ones of a SuperLink, so that code that cannot hold them fails early."""

MESSAGE_UNAVAILABLE = 3
NODE_UNAVAILABLE = 5

JOIN_S = 1.0
"""Seconds that :meth:`LocalGrid.close` waits for all nodes together to finish what they are doing."""


@dataclass(slots=True)
class Traffic:
    """What one node got (down) and sent (up): messages, and bytes as Flower serialises them."""

    messages_down: int = 0
    bytes_down: int = 0
    messages_up: int = 0
    bytes_up: int = 0


class LocalGrid(Grid):
    """Flower's grid over threads. Close it when done; as a context manager it closes itself.

    Args:
        client_app: The ClientApp that every node runs.
        node_configs: One mapping per node; becomes ``context.node_config``.
        run_config: Becomes ``context.run_config`` of every node.
        faults: What goes wrong, see :mod:`~coordinator.engines.faults`.
        workers: How many ClientApps may run at the same time.
        wall_clock: Unix time in seconds, for times to live.
    """

    answers_at_once = True
    """For :func:`.exchange.exchange`: no call waits for anything."""

    def __init__(
        self,
        client_app: Handler,
        node_configs: Sequence[Mapping[str, Setting]],
        run_config: Mapping[str, Setting],
        *,
        faults: Faults | None = None,
        workers: int = 4,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        identify(RUN_ID)
        self._run = empty_run(RUN_ID)
        self._wall_clock = wall_clock
        self._changed = threading.Condition()
        self._asked: dict[str, Metadata] = {}
        self._replies: dict[str, Packed] = {}
        self._dead: set[int] = set()
        self.traffic: dict[int, Traffic] = {}
        self._nodes: dict[int, LocalNode] = {}
        slots = threading.BoundedSemaphore(workers)
        for index, node_config in enumerate(node_configs):
            node_id = FIRST_NODE_ID + index
            self.traffic[node_id] = Traffic()
            self._nodes[node_id] = LocalNode(
                index=index,
                context=Context(RUN_ID, node_id, dict(node_config), RecordDict(), dict(run_config)),
                handler=client_app,
                faults=faults or NoFaults(),
                slots=slots,
                reply=partial(self._accept, node_id),
                died=partial(self.kill_node, node_id),
            )

    # ------------------------------------------------------------------ Flower's interface

    def set_run(self, run: ServerRun) -> None:
        """Set the run that :attr:`run` returns."""
        self._run = run

    @property
    def run(self) -> ServerRun:
        """Return the run; only its id has a meaning here."""
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a new message. Deprecated by Flower: call ``Message(...)``."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the ids of the nodes that are alive, in the order of their configs."""
        with self._changed:
            return [node_id for node_id in self._nodes if node_id not in self._dead]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send ``messages`` and return their ids; the id is ``""`` where the destination does not exist.

        As with a SuperLink, a message to a node that died is taken; the answer to it is error 5.
        """
        return [self._push(message) for message in list(messages)]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Return the replies, and the errors in their place, that there are by now for ``message_ids``."""
        return [found for message_id in list(message_ids) if (found := self._pull(message_id)) is not None]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """Send ``messages`` and return the replies that came within ``timeout`` seconds, all in memory.

        :func:`coordinator.engines.exchange.exchange` does it one reply at a time.
        """
        waiting = [message_id for message_id in self.push_messages(messages) if message_id]
        end = time.monotonic() + (math.inf if timeout is None else timeout)
        replies: list[Message] = []
        while True:
            found = self.pull_messages(waiting)
            replies += found
            answered = {reply.metadata.reply_to_message_id for reply in found}
            waiting = [message_id for message_id in waiting if message_id not in answered]
            left = end - time.monotonic()
            if not waiting or left <= 0:
                return replies
            self._wait_for_any(waiting, min(left, 0.1))

    # ------------------------------------------------------------------ beyond Flower's interface

    def kill_node(self, node_id: int) -> None:
        """Take a node away for good, as if its machine had lost power: it answers nothing from now on."""
        with self._changed:
            self._dead.add(node_id)
            self._changed.notify_all()
        self._nodes[node_id].stop()

    def close(self) -> None:
        """Stop all nodes. Waits a short while for ClientApps that are running; one that hangs is left to its thread."""
        for node in self._nodes.values():
            node.stop()
        end = time.monotonic() + JOIN_S
        for node in self._nodes.values():
            node.join(max(0.0, end - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ the SuperLink's part

    def _push(self, message: Message) -> str:
        node_id = message.metadata.dst_node_id
        if node_id not in self._nodes:
            return ""
        packed = pack(message)
        name_message(message, packed.message_id)
        with self._changed:
            self._asked[packed.message_id] = message.metadata
            traffic = self.traffic[node_id]
            traffic.messages_down += 1
            traffic.bytes_down += packed.size
            alive = node_id not in self._dead
        if alive:
            self._nodes[node_id].deliver(packed)
        return packed.message_id

    def _wait_for_any(self, message_ids: Sequence[str], seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: any(name in self._replies for name in message_ids), seconds)

    def _accept(self, node_id: int, packed: Packed, asked: str) -> None:
        """Store a node's reply, unless its message has been answered for it or has expired."""
        with self._changed:
            metadata = self._asked.get(asked)
            if metadata is None or node_id in self._dead or self._expired(metadata):
                return
            traffic = self.traffic[node_id]
            traffic.messages_up += 1
            traffic.bytes_up += packed.size
            self._replies[asked] = packed
            self._changed.notify_all()

    def _pull(self, message_id: str) -> Message | None:
        with self._changed:
            metadata = self._asked.get(message_id)
            if metadata is None:
                unknown = Metadata(
                    RUN_ID, message_id, SUPERLINK_NODE_ID, SUPERLINK_NODE_ID, "", "", 0.0, 0.0, "system"
                )
                return self._error(unknown, MESSAGE_UNAVAILABLE, "message unknown or already answered")
            dead = metadata.dst_node_id in self._dead
            expired = self._expired(metadata)
            packed = self._replies.get(message_id)
            if not (expired or dead or packed):
                return None
            del self._asked[message_id]
            self._replies.pop(message_id, None)
        if expired:
            return self._error(metadata, MESSAGE_UNAVAILABLE, "time to live is over")
        if dead or packed is None:
            return self._error(metadata, NODE_UNAVAILABLE, "node is offline")
        return unpack(packed)

    def _expired(self, metadata: Metadata) -> bool:
        return self._wall_clock() >= metadata.created_at + metadata.ttl

    def _error(self, asked: Metadata, code: int, reason: str) -> Message:
        return error_from_superlink(asked, code, reason, now=self._wall_clock())


class LocalRun(NamedTuple):
    """What is left of a local run: the ServerApp's context, and the traffic of each node by its position."""

    context: Context
    traffic: tuple[Traffic, ...]


def run_local(
    server_app: ServerApp,
    client_app: Handler,
    node_configs: Sequence[Mapping[str, Setting]],
    run_config: Mapping[str, Setting],
    *,
    faults: Faults | None = None,
    workers: int = 4,
) -> LocalRun:
    """Run ``server_app`` against one node per entry of ``node_configs``, in this process, to its end.

    Whatever the ServerApp raises comes out, ``KeyboardInterrupt`` included, after the nodes were told to stop.

    Args:
        server_app: The ServerApp; it sees the run config in ``context.run_config``.
        client_app: The ClientApp (or any function of its shape) that every node runs.
        node_configs: ``context.node_config`` of each node.
        run_config: ``context.run_config`` of the ServerApp and of every node.
        faults: What goes wrong, see :mod:`~coordinator.engines.faults`.
        workers: How many ClientApps may run at the same time.
    """
    context = Context(RUN_ID, SUPERLINK_NODE_ID, {}, RecordDict(), dict(run_config))
    with (
        quiet_flower(),
        LocalGrid(client_app, node_configs, run_config, faults=faults, workers=workers) as grid,
    ):
        server_app(grid=grid, context=context)
        return LocalRun(context, tuple(grid.traffic.values()))
