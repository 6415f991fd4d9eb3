"""Sees from outside when a moment of a round comes, and at which hospital: by events, a hospital's files, and the process table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coordinator.store.events import Event, EventTail
from tests.crash_matrix.deployed_points import Kill
from tests.simulators.federation import Federation
from tests.simulators.process_tree import processes_of

_SEEN = {
    "a frame is sealed": ("logbook.jsonl", b'"frame"'),
    "a frame leaves": ("outgoing.jsonl", b'"kind": "frame"'),
    "an answer leaves": ("outgoing.jsonl", b'"kind": "reveal"'),
}
"""What is looked for at a hospital, and in which file."""


class Eye:
    """Sees when a moment comes, and at which hospital.

    Args:
        federation: The services.
    """

    def __init__(self, federation: Federation) -> None:
        self._federation = federation
        self._tail = EventTail(federation.run / "coordinator" / "events.jsonl")
        self._names = [node.name for node in federation.nodes]
        self._held: list[Event] = []

    def events(self) -> list[Event]:
        """Return what the coordinator said and nobody took yet."""
        held, self._held = self._held, []
        return held + list(self._tail.new())

    def first(self, wanted: Callable[[Event], bool]) -> Event | None:
        """Return the first event that is ``wanted``; what came before it is dropped, what came after it is kept for the next call."""
        events = self.events()
        for position, event in enumerate(events):
            if wanted(event):
                self._held = events[position + 1 :]
                return event
        return None

    def sees(self, kill: Kill) -> Callable[[Sequence[Event]], int | None]:
        """Return a look for the moment, from now on; it returns the hospital at which it came, or None."""
        if kill.moment in _SEEN:
            file, word = _SEEN[kill.moment]
            before = self._counts(file, word)
            return lambda _: self._grown(before, self._counts(file, word))
        if kill.moment == "an app runs":
            return lambda _: self._with_app()
        wanted, left = kill.moment.removeprefix("after "), kill.count

        def said(events: Sequence[Event]) -> int | None:
            nonlocal left
            for event in events:
                name = " ".join(filter(None, (str(event["event"]), str(event.get("question", "")))))
                left -= name == wanted
                if name == wanted and left == 0:
                    return self._at(event)
            return None

        return said

    def _at(self, event: Event) -> int:
        """Return the hospital of an event; of an answer the one after it, which may still be asked."""
        name = str(event.get("holder", "")).lower().replace(" ", "-")
        place = self._names.index(name) if name in self._names else int(event["round"]) % len(self._names)
        return (place + (event["event"] == "answer")) % len(self._names)

    def _counts(self, file: str, word: bytes) -> list[int]:
        paths = [node / file for node in self._federation.nodes]
        return [path.read_bytes().count(word) if path.exists() else 0 for path in paths]

    @staticmethod
    def _grown(before: Sequence[int], after: Sequence[int]) -> int | None:
        return next((i for i, (a, b) in enumerate(zip(before, after, strict=True)) if b > a), None)

    def _with_app(self) -> int | None:
        ports = range(len(self._names))
        return next(
            (i for i in ports if processes_of("flwr-clientapp", f":{self._federation.supernode_port(i)} ")),
            None,
        )
