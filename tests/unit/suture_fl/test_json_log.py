"""Log lines as JSON: one object a line whatever the message, with the fields that a line has and no others."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from suture_fl.json_log import VARIABLE, JsonFormatter, TextFormatter, in_words, json_asked_for


def formatted(message: str, *arguments: object, **fields: object) -> dict[str, object]:
    record = logging.LogRecord("suture.node", logging.WARNING, "x", 1, message, arguments, None)
    record.__dict__.update(fields)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def test_a_json_log_line_is_one_object_whatever_the_message():
    said = formatted('a %s\n"b"\x1b', "c")
    assert (said["level"], said["logger"], said["message"]) == ("warning", "suture.node", 'a c\n"b"\x1b')
    assert set(said) == {"time", "level", "logger", "message"}


def test_a_text_log_line_is_one_line_whatever_the_message_and_keeps_the_trace_of_a_bug():
    record = logging.LogRecord(
        "suture.node", logging.WARNING, "x", 1, "refused: %s", ("a\nAllowed.\x1b[8m",), None
    )
    assert TextFormatter("%(message)s").format(record) == r"refused: a\nAllowed.\x1b[8m"
    record.exc_text = "Traceback:\n  line 1"
    assert TextFormatter("%(message)s").format(record).endswith("\nTraceback:\n  line 1")


def test_a_line_has_its_fields_and_nothing_else_that_was_given():
    said = formatted("x", run="0xab", round=3, event="opened", member="0xcd", update=[0.5])
    assert {name: said[name] for name in ("run", "round", "event", "member")} == {
        "run": "0xab", "round": 3, "event": "opened", "member": "0xcd",
    }  # fmt: skip
    assert "update" not in said


def test_words_hold_short_facts_and_the_length_of_a_list():
    facts = {"bytes": 7, "reason": "late", "holders": ["a", "b"], "counters": {"correct": 3}}
    assert in_words("lost", facts) == "lost: bytes 7, reason late, holders 2"
    assert in_words("lost", {}) == "lost"


@pytest.mark.parametrize(("value", "json_lines"), [("1", True), ("true", True), ("0", False), ("", False), ("perhaps", False)])  # fmt: skip
def test_the_variable_asks_for_json(value, json_lines):
    assert json_asked_for({VARIABLE: value}) is json_lines
    assert not json_asked_for({})


def test_a_process_that_logs_json_hands_that_on_and_spares_others_requests():
    program = (
        "import logging, os, subprocess, sys\n"
        "from suture_fl.json_log import log_to_stderr\n"
        "from suture_fl.report import report\n"
        "log_to_stderr(as_json=True)\n"
        "logging.getLogger('httpx').info('a request')\n"
        "logging.getLogger('suture.x').info('ours', extra={'round': 2})\n"
        "report('bad\\nfile', fix='Mend it.', kind='x', as_json=False)\n"
        "try:\n    raise ValueError('bug')\nexcept ValueError:\n    logging.getLogger('suture.x').exception('failed')\n"
        "child = 'import suture_fl.json_log as j; print(j.json_asked_for())'\n"
        "print(subprocess.run([sys.executable, '-c', child], capture_output=True, text=True).stdout)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, mistake, second = map(json.loads, done.stderr.splitlines())
    assert (first["message"], first["round"]) == ("ours", 2)
    assert (mistake["level"], mistake["message"]) == ("error", "error: bad\\nfile Mend it.")
    assert second["level"] == "error"
    assert second["trace"].endswith("ValueError: bug")
    assert done.stdout.strip() == "True"
