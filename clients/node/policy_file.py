"""The section ``[policy]`` of ``node.toml``: read strictly, and named by line where it is wrong."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import UTC, date, datetime
from typing import Any

from clients.node.policy import Policy
from fl_core.errors import InputError
from ledger.toml_file import toml_text

_KEY = re.compile(r"""^\s*(?:"([^"]+)"|'([^']+)'|([\w-]+))\s*=""")
_HEX = re.compile(r"[0-9a-f]{64}")


def read_policy(values: Mapping[str, Any], *, text: str = "", file: str = "node.toml") -> Policy:
    """Return the policy in a section.

    Args:
        values: The section as parsed.
        text: The whole file, for the lines in error texts.
        file: Its name.

    Raises:
        InputError: A key is unknown, missing or of the wrong type; says which line and how to mend it.
    """
    known = {field.name: field for field in fields(Policy)}
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            fix = f"Did you mean {near[0]!r}?" if near else f"The keys are {', '.join(known)}."
            raise InputError(f"{_place(file, text, key)}: the policy has no rule {key!r}.", fix=fix)
    for name, field in known.items():
        if field.default is MISSING and name not in values:
            raise InputError(
                f"{file}: the policy lacks {name!r}.", fix='Add for instance tasks = ["heart-disease"].'
            )
    read: dict[str, Any] = {}
    for key, value in values.items():
        try:
            read[key] = _value(key, value)
        except ValueError as error:
            raise InputError(
                f"{_place(file, text, key)}: {key} {error}.", fix="See docs/reference/policy.md."
            ) from None
    return Policy(**read)


def _value(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever TOML holds
    if key in ("tasks", "parameter_sets", "bundles"):
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise ValueError('is a list of strings, for instance ["heart-disease"]')
        if key == "bundles" and not all(_HEX.fullmatch(item) for item in value):
            raise ValueError("holds SHA-256 digests of 64 lower-case hexadecimal digits")
        return tuple(value)
    if key.startswith(("allow_", "release_")):
        if not isinstance(value, bool):
            raise ValueError("is true or false")
        return value
    if key == "expires":
        return _seconds(value)
    if key == "max_epsilon":
        if isinstance(value, bool) or not isinstance(value, int | float) or not (0 <= value < math.inf):
            raise ValueError("is a number, at least 0")
        return float(value)
    if key == "data":
        pairs = list(value.items()) if isinstance(value, dict) else value
        if not isinstance(pairs, list) or not all(len(pair) == 2 for pair in pairs):
            raise ValueError('names a data set for each task, for instance { "heart-disease" = "records" }')
        return tuple((str(task), str(name)) for task, name in pairs)
    least = 2 if key == "least_partners" else 0
    if type(value) is not int or not least <= value < 1 << 32:
        raise ValueError(f"is a whole number, at least {least}")
    return value


def _seconds(value: object) -> int:
    """Return Unix seconds of a TOML date, time or number; a date is over at its end."""
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp()) + 86_400
    if type(value) is int and 0 <= value < 1 << 40:
        return value
    raise ValueError("is a date, for instance 2027-12-31, or 0 for never")


def _place(file: str, text: str, key: str) -> str:
    """Return file and line of a key of the section."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("["):
            section = line.strip().strip("[]").strip()
        match = _KEY.match(line)
        if match and section.split(".")[0] == "policy" and key in match.groups():
            return f"{file}, line {number}"
        if section == f"policy.{key}":
            return f"{file}, line {number}"
    return file


def data_rule(policy: Policy, task: str, name: str) -> str:
    """Return in words where to write the line with which a task uses another data set, and every other task the one it has."""
    pairs = dict(policy.data) | {task: name}
    place = "after the line data or the section [policy.data] is taken out"
    return f"{place}: data = {{ {', '.join(f'{toml_text(one)} = {toml_text(used)}' for one, used in pairs.items())} }}"


def doubts(policy: Policy, *, now: int, known_tasks: frozenset[str], known_sets: frozenset[str]) -> list[str]:
    """Return what a person should look at again: contradictions, rules that allow a lot, an end that came or comes.

    Args:
        policy: The policy.
        now: Unix time in seconds.
        known_tasks: Tasks that are installed.
        known_sets: Parameter sets of this version.
    """
    found = []
    for name in sorted(set(policy.tasks) - known_tasks):
        found.append(f"tasks names {name!r}, which is not installed here")
    for name in sorted(set(policy.parameter_sets) - known_sets):
        found.append(f"parameter_sets names {name!r}, which this version does not know")
    if not policy.tasks:
        found.append("tasks is empty: every run is refused")
    if policy.max_rounds == 0:
        found.append("max_rounds is 0: every round is refused")
    if policy.least_partners < policy.colluders + 2:
        found.append(
            f"least_partners = {policy.least_partners} contradicts colluders = {policy.colluders}: "
            f"sums need {policy.colluders + 2} holders"
        )
    if policy.colluders == 0:
        found.append("colluders is 0: one other holder in a sum of two learns your update")
    if policy.allow_plaintext:
        found.append("allow_plaintext is on: updates may leave without encryption")
    if policy.allow_ckks:
        found.append("allow_ckks is on: every holder of such a run can open your upload if it gets the bytes")
    if policy.release_ckks_model and not policy.allow_ckks:
        found.append("release_ckks_model is on but allow_ckks is not: it has no effect")
    if "P2048" in policy.parameter_sets:
        found.append("parameter_sets allows P2048, which is for tests")
    if policy.expires and policy.expires <= now:
        found.append("the policy has expired: every run is refused; set expires to a later date")
    elif policy.expires and policy.expires - now < 14 * 86_400:
        found.append(f"the policy expires in {(policy.expires - now) // 86_400} days")
    for task, _ in policy.data:
        if task not in policy.tasks:
            found.append(f"data names a data set for the task {task!r}, which tasks does not allow")
    return found
