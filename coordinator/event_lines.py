"""The coordinator's events as log lines, beside the event file: for programs that collect the logs of many processes.

A line has the event's kind, round and member as fields, and its numbers and reasons as a message: counts, sizes, times and public digests,
as in the event file. Totals of a round's counters are left out.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from coordinator.store.events import Event
from suture_fl.json_log import in_words

log = logging.getLogger("suture.coordinator")
log.addHandler(
    logging.NullHandler()
)  # silent unless somebody asks for log lines: the screens show events too

LEVELS: Mapping[str, int] = {
    "run-failed": logging.ERROR,
    "round-failed": logging.WARNING,
    "contribution-refused": logging.WARNING,
    "contribution-lost": logging.WARNING,
    "answer-refused": logging.WARNING,
    "answer-lost": logging.WARNING,
    "holder-left-out": logging.WARNING,
    "ledger-away": logging.WARNING,
}
"""Kinds of events that deserve attention; all others are told as information."""

_FIELDS = ("event", "at", "round", "holder")


class EventLines:
    """Writes a log line for every event.

    Args:
        run: The run's id, hexadecimal; empty for a run without a ledger.
        names: Account, hexadecimal -> name, as events name members.
    """

    def __init__(self, run: str = "", names: Mapping[str, str] = MappingProxyType({})) -> None:
        self._run = run
        often = Counter(names.values())
        self._accounts = {name: f"0x{account}" for account, name in names.items() if often[name] == 1}

    def tell(self, event: Event) -> None:
        """Write the line."""
        kind = event["event"]
        fields: dict[str, object] = {"event": kind}
        if self._run:
            fields["run"] = f"0x{self._run}"
        if "round" in event:
            fields["round"] = event["round"]
        if event.get("holder"):
            fields["member"] = self._accounts.get(event["holder"], event["holder"])
        rest = {name: value for name, value in event.items() if name not in _FIELDS}
        log.log(LEVELS.get(kind, logging.INFO), "%s", in_words(kind, rest), extra=fields)
