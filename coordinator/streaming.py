"""Flower's grid with replies that stream: one at a time in memory, and every missing one told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from coordinator.engines.exchange import Answer, Why, connected, exchange


class StreamingGrid(Grid):
    """A grid whose ``send_and_receive`` yields replies as they arrive, one in memory at a time.

    Args:
        grid: The grid to use.
        window: How many messages may be unanswered at a time.
        poll_s: Longest pause between two looks, in seconds.
        lost: Told about every message that got no usable reply.
    """

    def __init__(
        self, grid: Grid, *, window: int | None, poll_s: float, lost: Callable[[Answer], None]
    ) -> None:
        self._grid = grid
        self._poll_s = poll_s
        self._window = window
        self._lost = lost

    def set_run(self, run: Any) -> None:  # noqa: ANN401 - Flower's interface
        """Pass on."""
        self._grid.set_run(run)

    @property
    def run(self) -> Any:  # noqa: ANN401 - Flower's interface
        """Pass on."""
        return self._grid.run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a new message."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes that are connected."""
        return connected(self._grid)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Pass on."""
        return self._grid.push_messages(list(messages))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pass on."""
        return self._grid.pull_messages(message_ids)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterator[Message]:
        """Yield usable replies in the order of arrival."""
        for answer in exchange(
            self._grid,
            list(messages),
            deadline_s=timeout if timeout is not None else 3600.0,
            window=self._window,
            max_poll_s=self._poll_s,
        ):
            if answer.reply is None or answer.why is not Why.ANSWERED:
                self._lost(answer)
            else:
                yield answer.reply


def reason_of(answer: Answer) -> str:
    """Return why there is no usable reply; what the node itself says is added where the reason alone does not tell."""
    telling = answer.why in (Why.RAISED, Why.FAILED, Why.REFUSED, Why.UNREADABLE) and answer.detail
    return f"{answer.why.value}: {answer.detail}" if telling else answer.why.value
