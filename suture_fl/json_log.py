"""Log lines as JSON: one object a line, for programs that collect them. The same form for node, gateway, relay, SuperLink and ServerApp.

Messages never hold a record of a data set, a key or a value of a model; who writes one keeps to that. Only the standard library is used.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from suture_fl.plain_text import one_line

VARIABLE = "SUTURE_JSON_LOGS"
"""Environment variable that stands for ``--json-logs``; processes that another one starts learn from it."""

FIELDS = ("run", "round", "event", "member")
"""What a line can say beside its message: the run's id and a member's account (0x and hexadecimal digits), a round's number, a kind of event.
Given to a logger as ``extra={"round": 3}``."""

_YES = frozenset({"1", "true", "t", "yes", "y", "on"})  # as the command lines read it


class JsonFormatter(logging.Formatter):
    """Formats a record as ``time``, ``level``, ``logger``, ``message``, those of :data:`FIELDS` that it has, and ``trace`` for a bug of ours."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        values: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        values.update({name: record.__dict__[name] for name in FIELDS if name in record.__dict__})
        if record.exc_info:
            values["trace"] = self.formatException(record.exc_info)
        return json.dumps(values)


class TextFormatter(logging.Formatter):
    """Formats a record as a line of text: what others wrote into a message adds no line and moves no cursor. Traces of bugs keep their lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without a trace."""
        record.message = one_line(record.message)
        return super().formatMessage(record)


def log_to_stderr(*, as_json: bool) -> None:
    """Have log lines go to the standard error, as text or as JSON; JSON also for the processes that this one starts from now on."""
    if as_json:
        os.environ[VARIABLE] = "1"
    handler = logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonFormatter() if as_json else text)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells of every request


def of_round(event: str, run: bytes, number: int) -> dict[str, str | int]:
    """Return what a logger is given as ``extra`` for a line about a round."""
    return {"event": event, "run": f"0x{run.hex()}", "round": number}


def as_logged(message: str, level: int = logging.INFO) -> str:
    """Return what a process says of itself on the standard error: a log line where its log is JSON, else the message as it is."""
    if not any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers):
        return message
    return JsonFormatter().format(logging.LogRecord("suture", level, "", 0, message, (), None))


def json_asked_for(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether :data:`VARIABLE` asks for JSON."""
    return environment.get(VARIABLE, "").strip().lower() in _YES


def in_words(event: str, facts: Mapping[str, object]) -> str:
    """Return a message about an event: its kind, and its facts that fit into a line; of a list its length."""
    said = [
        f"{name} {_short(value)}"
        for name, value in facts.items()
        if isinstance(value, str | int | float | list)
    ]
    return f"{event}: {', '.join(said)}" if said else event


def _short(value: object) -> object:
    return len(value) if isinstance(value, list) else value
