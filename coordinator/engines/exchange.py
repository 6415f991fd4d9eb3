"""One exchange with many nodes over any of Flower's grids: send, and take each answer as it arrives.

Flower's own ``send_and_receive`` collects all replies in a list and looks every three seconds. :func:`exchange` instead

- holds one reply at a time: a reply is pulled only when the caller asks for the next answer. Where uploads are slow, :data:`PULLS`,
  and those on top that took longer than their share of the time left;
- sends at most ``window`` messages ahead, which bounds what the SuperLink must store;
- ends at its deadline, whatever happens. A grid call can block for minutes (a node that freezes while it uploads a reply
  that is already visible), so every call runs in a thread of its own that is left behind if it does not come back; other
  nodes are served meanwhile;
- asks again where the SuperLink failed for the moment (:data:`PAUSES_S`); its calls are content-addressed, so that repeats no effect;
- answers for every message exactly once, with a reply or with the reason why there is none. A node that fails is an
  answer, not an exception: drop-outs are normal. So is one whose reply is none, or names another sender: the SuperLink checks neither.

It does not ask a node twice and does not look into a reply. The clock and the sleep are arguments.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

import httpx
from flwr.app import Error, Message
from flwr.serverapp import Grid

from coordinator.errors import GridFailed

T = TypeVar("T")
A = TypeVar("A")

POLL_S = 0.005
"""Seconds between two looks right after something arrived; grows by half at each look that finds nothing."""

MAX_POLL_S = 0.5
"""Seconds between two looks when nothing has arrived for a while."""

AT_ONCE = "answers_at_once"
"""Attribute of a grid whose calls wait for nothing: they need no thread of their own."""

PATIENCE_S = 5.0
"""Seconds that one pull may take before the other nodes are looked at again; the pull goes on meanwhile."""

PULLS = 4
"""How many pulls go on at a time, each with as much of its reply as has come: a reply can be pulled as soon as its upload begins, and
nodes behind slow lines upload side by side. A pull counts for its share of the time left, see :meth:`_Exchange._share`."""

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds before a call is repeated that the SuperLink answered with an internal error: its database waits at most five seconds for a
writer before it, which many uploads at once exceed. Flower itself repeats what got no answer, or came from a proxy."""

MAX_DETAIL = 300
"""Characters that are kept of a node's own error text."""


class Why(Enum):
    """What became of a message."""

    ANSWERED = "answered"
    REFUSED = "the grid refused the message"
    DEADLINE = "no answer before the deadline"
    RAISED = "the app on the node raised an exception"
    NOT_LOADED = "the app could not be loaded on the node"
    LOST = "the message or its reply expired or was lost"
    OFFLINE = "the node went offline"
    BUNDLE_REFUSED = "the node refused the bundle"
    CRASHED = "the app's process on the node died"
    FAILED = "the node reported an error"
    UNREADABLE = "the node's reply cannot be read"


_WHY_OF_CODE = {
    1: Why.NOT_LOADED,
    2: Why.RAISED,
    3: Why.LOST,
    4: Why.LOST,
    5: Why.OFFLINE,
    7: Why.BUNDLE_REFUSED,
    8: Why.CRASHED,
}


class Answer(NamedTuple):
    """What one node answered: a ``reply`` with content, or ``None`` and why.

    ``detail`` is the node's own text, cut and without control characters: it comes from outside, show it as such.
    """

    node_id: int
    reply: Message | None
    why: Why
    detail: str = ""


def read_error(error: Error) -> tuple[Why, str]:
    """Return what Flower's error code means and the node's text, fit for one line of a log."""
    text = "".join(character if character.isprintable() else " " for character in error.reason or "")
    if len(text) > MAX_DETAIL:
        text = text[: MAX_DETAIL - 1] + "…"
    why = _WHY_OF_CODE.get(error.code, Why.FAILED)
    return why, text if why is not Why.FAILED else f"code {error.code}: {text}"


def exchange(
    grid: Grid,
    messages: Iterable[Message],
    *,
    deadline_s: float,
    window: int | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    patience_s: float = PATIENCE_S,
    max_poll_s: float = MAX_POLL_S,
    pauses_s: Sequence[float] = PAUSES_S,
) -> Iterator[Answer]:
    """Send ``messages`` and yield one :class:`Answer` for each, in the order of arrival.

    Closing the generator early (enough answers are in) abandons the rest. A caller that is slow between two answers uses
    up the deadline too: what has not been pulled when it passes counts as :attr:`Why.DEADLINE`. Give the messages a time
    to live no longer than the deadline, so that a node does not go on with work nobody waits for.

    Args:
        grid: Any Flower grid.
        messages: New messages, one per node; the next one is taken when there is room in the window.
        deadline_s: Seconds from the first step of the generator to its end.
        window: How many messages may be unanswered at a time; ``None`` is all.
        clock: Seconds that never run backwards.
        sleep: Called with the seconds until the next look.
        patience_s: Real seconds that one pull may take before the others are looked at again.
        max_poll_s: Longest pause between two looks; short where looking costs nothing.
        pauses_s: Real seconds before each repetition of a call that failed for the moment.

    Raises:
        GridFailed: A call of the grid raised, for good.
    """
    if window is not None and window < 1:
        raise ValueError(f"a window holds at least one message; got {window}")
    return _Exchange(grid, messages, window, clock, patience_s, max_poll_s, pauses_s).answers(
        deadline_s, sleep
    )


def connected(grid: Grid, *, pauses_s: Sequence[float] = PAUSES_S) -> list[int]:
    """Return Flower's ids of the nodes that are connected; asked again where the SuperLink failed for the moment.

    Raises:
        GridFailed: The grid's call raised, for good.
    """
    try:
        return _insist(pauses_s, lambda known, _: list(known.get_node_ids()), grid, None)
    except httpx.HTTPError as error:
        raise GridFailed(
            f"Flower's grid could not name its nodes: {type(error).__name__}: {error}."
        ) from error


class _Exchange:
    """The state of one exchange: what waits to be sent, what is unanswered, which pulls have not come back."""

    def __init__(
        self,
        grid: Grid,
        messages: Iterable[Message],
        window: int | None,
        clock: Callable[[], float],
        patience_s: float,
        max_poll_s: float,
        pauses_s: Sequence[float],
    ) -> None:
        self._grid = grid
        self._messages = iter(messages)
        self._next = next(self._messages, None)
        self._window = window
        self._clock = clock
        self._patience_s = patience_s
        self._max_poll_s = max_poll_s
        self._pauses_s = pauses_s
        self._pending: dict[str, int] = {}
        self._pulls: dict[str, _Call[list[Message | str]]] = {}
        self._end = 0.0

    def answers(self, deadline_s: float, sleep: Callable[[float], None]) -> Iterator[Answer]:
        """Yield every answer, then one :attr:`Why.DEADLINE` for each message that has none."""
        self._end = self._clock() + deadline_s
        pause = POLL_S
        while (self._next is not None or self._pending) and self._left() > 0:
            yield from self._send()
            arrived = False
            for answer in self._look():
                arrived = True
                yield answer
                del answer  # the caller's copy is now the only one
            pause = POLL_S if arrived else min(pause * 1.5, self._max_poll_s)
            if self._pending and not arrived and (left := self._left()) > 0:
                sleep(min(pause, left))
        for node_id in self._pending.values():
            yield Answer(node_id, None, Why.DEADLINE)
        while self._next is not None:
            yield Answer(self._take().metadata.dst_node_id, None, Why.DEADLINE)

    def _take(self) -> Message:
        message = self._next
        assert message is not None
        self._next = next(self._messages, None)
        return message

    def _room(self) -> bool:
        return self._window is None or len(self._pending) < self._window

    def _left(self) -> float:
        return self._end - self._clock()

    def _send(self) -> Iterator[Answer]:
        """Fill the window; yield an answer for each message that could not be sent."""
        while self._next is not None and self._room() and (left := self._left()) > 0:
            message = self._take()
            node_id = message.metadata.dst_node_id
            push = self._call("push a message", _push_one, message)
            if not push.done_within(left):
                yield Answer(node_id, None, Why.DEADLINE)
            elif message_id := push.result():
                self._pending[message_id] = node_id
            else:
                yield Answer(node_id, None, Why.REFUSED)

    def _call(self, purpose: str, function: Callable[[Grid, A], T], argument: A) -> _Call[T]:
        alone = not getattr(self._grid, AT_ONCE, False)
        now = self._clock()
        return _Call(purpose, _insist, self._pauses_s, function, self._grid, argument, alone=alone, began=now)

    def _look(self) -> Iterator[Answer]:
        """Look once at every unanswered message, pulling at most one reply at a time."""
        for message_id in list(self._pending):
            if (left := self._left()) <= 0:
                return
            pull, patience = self._pulls.pop(message_id, None), 0.0
            if pull is None:
                if self._going_on() >= PULLS:
                    continue
                pull = self._call("pull a reply", _pull_one, message_id)
                patience = min(self._patience_s, left / (len(self._pending) + 1))
            if not pull.done_within(patience):
                self._pulls[message_id] = pull
                continue
            for reply in pull.result():
                yield _answer(self._pending.pop(message_id), reply)
                del reply
            del pull

    def _going_on(self) -> int:
        """Return how many pulls are left behind that count."""
        share = self._share()
        return sum(self._clock() - pull.began < share for pull in self._pulls.values())

    def _share(self) -> float:
        """Return the seconds for which a pull counts: so much that all others get their turn, however many nodes froze before them."""
        turns = -(-len(self._pending) // PULLS)
        return self._left() / (turns + 1)


def _push_one(grid: Grid, message: Message) -> str:
    """Push one message; the list is needed because Flower's grid walks its argument twice."""
    ids = list(grid.push_messages([message]))
    return (ids[0] or "") if ids else ""


def _pull_one(grid: Grid, message_id: str) -> list[Message | str]:
    """Pull the reply to a message if there is one; a text says why what a node pushed is none."""
    try:
        found: list[Message | str] = list(grid.pull_messages([message_id]))
    except (httpx.HTTPError, OSError):
        raise  # the grid's own
    except Exception as error:  # noqa: BLE001 - Flower puts together what came, which may be anything, and deleted it at the SuperLink before
        return [type(error).__name__]
    return found[:1]


def _insist(pauses_s: Sequence[float], function: Callable[[Grid, A], T], grid: Grid, argument: A) -> T:
    """Call ``function``, and again after each pause as long as the SuperLink says that it failed."""
    for pause in pauses_s:
        try:
            return function(grid, argument)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.INTERNAL_SERVER_ERROR:
                raise
        time.sleep(pause)
    return function(grid, argument)


def _answer(node_id: int, reply: Message | str) -> Answer:
    if isinstance(reply, str):
        return Answer(node_id, None, Why.UNREADABLE, reply)
    if reply.has_error():
        return Answer(node_id, None, *read_error(reply.error))
    if reply.metadata.src_node_id != node_id:  # the SuperLink checks what it was told beside it
        return Answer(node_id, None, Why.UNREADABLE, "it names another node as its sender")
    return Answer(node_id, reply, Why.ANSWERED)


class _Call(Generic[T]):
    """One call of the grid, ``alone`` in a daemon thread, so that it can be left behind when it does not come back."""

    def __init__(
        self, purpose: str, function: Callable[..., T], *arguments: object, alone: bool, began: float
    ) -> None:
        self._purpose = purpose
        self.began = began
        self._done = threading.Event()
        self._results: list[T] = []
        self._error: Exception | None = None

        def call() -> None:
            try:
                self._results.append(function(*arguments))
            except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
                self._error = error
            finally:
                self._done.set()

        if alone:
            threading.Thread(target=call, name="grid-call", daemon=True).start()
        else:
            call()

    def done_within(self, seconds: float) -> bool:
        return self._done.wait(seconds)

    def result(self) -> T:
        """Return what the call returned, once; the call keeps nothing.

        Raises:
            GridFailed: The call raised.
        """
        if self._error is not None:
            raise GridFailed(
                f"Flower's grid could not {self._purpose}: {type(self._error).__name__}: {self._error}."
            ) from self._error
        return self._results.pop()
