"""How the committee is asked: as Flower messages, or as duties over the relay. One interface, chosen by the run's settings.

Over Flower each question costs a new ClientApp process at every member, some six seconds, and reaches nobody whose SuperNode is busy or
down. Over the relay it takes milliseconds and needs the member's node only; a round is then one Flower message for each client.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from coordinator.engines.exchange import connected, exchange
from coordinator.enrolment import newer_prekey
from coordinator.flower_messages import sealed_bytes, sealed_record
from coordinator.store.duties import Duties
from coordinator.streaming import reason_of
from fl_core.errors import DecodeError
from fl_core.protocol import envelope
from fl_core.protocol.prekeys import SignedPrekey
from fl_core.protocol.relay import DutyKind

QUESTIONS_AT_A_TIME = 16
"""Unanswered Flower questions: each carries a box of every client, half a megabyte for 16 clients."""

AWAY_S = 45.0
"""A member that did not call the relay for this long is not waited for once enough others have answered."""

LOOK_S = 0.02
GRACE_S = 1.0
"""Least time that members have to answer."""

Requests = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the committee is asked.

    Attributes:
        name: For people.
        message_type: Flower's message type.
        field: Name of the sealed answer in a Flower message.
        duty: Which duty it is at the relay.
    """

    name: str
    message_type: str
    field: str
    duty: DutyKind


class Told(NamedTuple):
    """What one member answered: bytes, or None and why."""

    account: bytes
    data: bytes | None
    why: str = ""


class Committee(Protocol):
    """Whoever carries questions to the members and answers back."""

    def ask(self, asked: Asked, number: int, requests: Requests, enough: int) -> Iterator[Told]:
        """Ask members about round ``number`` and yield what each told, as it arrives, until all did or the patience is over.

        Args:
            asked: The question.
            number: The round.
            requests: Account and request of one member after the other.
            enough: How many answers the round needs.
        """
        ...

    def learn(self, prekeys: dict[bytes, SignedPrekey]) -> None:
        """Take newer prekeys that members told, if this way of asking brings any."""
        ...


class FlowerCommittee:
    """Asks through Flower's grid.

    Args:
        grid: The grid.
        accounts: Flower node id -> account.
        patience_s: Seconds for the answers to one question.
        poll_s: Longest pause between two looks.
        window: How many messages may be unanswered at a time.
    """

    def __init__(
        self,
        grid: Grid,
        accounts: Mapping[int, bytes],
        *,
        patience_s: float,
        poll_s: float,
        window: int | None,
    ) -> None:
        self._grid = grid
        self._accounts = accounts
        self._nodes = {account: node for node, account in accounts.items()}
        self._patience_s = patience_s
        self._poll_s = poll_s
        self._window = QUESTIONS_AT_A_TIME if window is None else window

    def ask(self, asked: Asked, number: int, requests: Requests, enough: int) -> Iterator[Told]:
        """Ask; see :class:`Committee`. Members whose node is not connected are not asked."""
        alive = set(connected(self._grid))
        messages = (
            Message(
                RecordDict({envelope.SEALED: sealed_record(envelope.REQUEST, request)}),
                dst_node_id=self._nodes[account],
                message_type=asked.message_type,
                group_id=str(number),
                ttl=self._patience_s,
            )
            for account, request in requests
            if self._nodes.get(account) in alive
        )
        answers = exchange(
            self._grid,
            messages,
            deadline_s=self._patience_s,
            window=self._window,
            max_poll_s=self._poll_s,
        )
        for answer in answers:
            account = self._accounts[answer.node_id]
            if answer.reply is None:
                yield Told(account, None, reason_of(answer))
                continue
            try:
                yield Told(account, sealed_bytes(answer.reply, asked.field))
            except DecodeError as error:
                yield Told(account, None, str(error))

    def learn(self, prekeys: dict[bytes, SignedPrekey]) -> None:
        """Replies to training bring the prekeys; see :func:`~coordinator.enrolment.learn_prekey`."""


class RelayCommittee:
    """Asks through the relay.

    Args:
        duties: The file that the relay shares.
        patience_s: Seconds for the answers to one question.
        wall: Unix time in seconds.
        clock: Seconds that never run backwards.
        sleep: Called with the seconds until the next look.
    """

    def __init__(
        self,
        duties: Duties,
        *,
        patience_s: float,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._duties = duties
        self._patience_s = patience_s
        self._wall = wall
        self._clock = clock
        self._sleep = sleep

    def ask(self, asked: Asked, number: int, requests: Requests, enough: int) -> Iterator[Told]:
        """Ask; see :class:`Committee`."""
        waiting = {self._duties.add(number, asked.duty, who, request): who for who, request in requests}
        began, given = self._clock(), 0
        try:
            while waiting and self._clock() - began < self._patience_s:
                for duty, answer in self._duties.answers(tuple(waiting)).items():
                    given += answer.given
                    who = waiting.pop(duty)
                    yield Told(who, answer.data) if answer.given else Told(who, None, "the node refused")
                if (
                    waiting
                    and given >= enough
                    and self._clock() - began > GRACE_S
                    and self._away(waiting.values())
                ):
                    break
                if waiting:
                    self._sleep(LOOK_S)
            for who in waiting.values():
                yield Told(who, None, "no answer at the relay in time")
        finally:
            self._duties.end(number, asked.duty)

    def learn(self, prekeys: dict[bytes, SignedPrekey]) -> None:
        """Take the newest prekeys that members told the relay."""
        for member, seen in self._duties.members().items():
            newer_prekey(prekeys, member, seen.status)

    def _away(self, members: Iterable[bytes]) -> bool:
        """Return whether none of these members called the relay lately."""
        seen, now = self._duties.members(), self._wall()
        return all(m not in seen or now - seen[m].seen > AWAY_S for m in members)
