"""Reads Dockerfiles: the instructions that ours use, as an engine understands them. What it does not know it refuses.

Variables are put into ``FROM`` only; the shell of a ``RUN`` finds them in its environment. A dollar sign anywhere else is refused.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field

PLAIN = frozenset({"USER", "WORKDIR", "STOPSIGNAL"})
WORDS = frozenset({"EXPOSE", "VOLUME"})
LISTS = frozenset({"ENTRYPOINT", "CMD"})
BIND = re.compile(r"--mount=type=bind,from=([\w-]+),target=(/[\w/-]+)\s+")
"""The only mount of a ``RUN`` that is known: a stage, or a build context in its place, to be read."""
FLAGS = {"COPY": {"from"}, "HEALTHCHECK": {"interval", "timeout", "start-period", "retries"}}
"""The flags that are known, by instruction; no other has any."""


class UnknownInstruction(Exception):
    """A Dockerfile says something that the tests would not play as an engine does."""


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction.

    Attributes:
        name: In capitals.
        flags: Without their dashes; for ``RUN`` the stages that are mounted, by target.
        words: The argument: one shell line for ``RUN``, a list for those with a list, ``NAME=VALUE`` for ``ENV`` and ``ARG``.
    """

    name: str
    flags: dict[str, str]
    words: list[str]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What is between two ``FROM``; ``base`` is an earlier stage's name or an image's."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)


def parse(text: str, build_args: dict[str, str]) -> list[Stage]:
    """Return the stages of a Dockerfile.

    Args:
        text: The Dockerfile.
        build_args: As given by ``--build-arg``; they replace the defaults of ``ARG``.

    Raises:
        UnknownInstruction: See the class.
    """
    stages: list[Stage] = []
    known: dict[str, str] = {}
    for line in _lines(text):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            match = re.fullmatch(r"(\S+) AS (\S+)", rest.strip())
            if match is None:
                raise UnknownInstruction(line)
            base = re.sub(r"\$\{(\w+)\}", lambda found: known[found[1]], match[1])
            stages.append(Stage(name=match[2], base=base))
        elif stages:
            stages[-1].instructions.append(_instruction(name, rest.strip(), build_args))
        elif name == "ARG":
            known.update(word.split("=", 1) for word in _arguments(rest, build_args))
        else:
            raise UnknownInstruction(f"before any FROM: {line}")
    return stages


def _lines(text: str) -> list[str]:
    """Return the instructions, each on one line. A comment may stand between the lines of one."""
    whole = re.sub(r"^[ \t]*#.*\n", "", text, flags=re.MULTILINE)
    return [line.strip() for line in re.sub(r"\\\n", " ", whole).splitlines() if line.strip()]


def _arguments(rest: str, build_args: dict[str, str]) -> list[str]:
    """Return ``NAME=VALUE`` of the arguments that have a value."""
    found = []
    for word in shlex.split(rest):
        name, equals, default = word.partition("=")
        if name in build_args or equals:
            found.append(f"{name}={build_args.get(name, default)}")
    return found


def _instruction(name: str, rest: str, build_args: dict[str, str]) -> Instruction:
    flags = {}
    while name == "RUN" and (match := BIND.match(rest)):
        flags[match[2]] = match[1]
        rest = rest[match.end() :]
    while name != "RUN" and (match := re.match(r"--([a-z-]+)=(\S+)\s+", rest)):
        flags[match[1]] = match[2]
        rest = rest[match.end() :]
    if (name != "RUN" and set(flags) - FLAGS.get(name, set())) or rest.startswith("--"):
        raise UnknownInstruction(f"{name} with {sorted(flags)} {rest}")
    if "$" in rest and name != "RUN":
        raise UnknownInstruction(f"a variable in {name} {rest}")
    return Instruction(name=name, flags=flags, words=_words(name, rest, build_args))


def _words(name: str, rest: str, build_args: dict[str, str]) -> list[str]:
    if name == "RUN" and not rest.startswith("["):
        return [rest]
    if name in PLAIN:
        return [rest]
    if name in LISTS or (name == "VOLUME" and rest.startswith("[")):
        return _list(name, rest)
    if name in WORDS:
        return rest.split()
    if name == "COPY" and not rest.startswith("[") and len(rest.split()) > 1:
        return rest.split()
    if name == "ENV":
        words = shlex.split(rest)
        if all("=" in word for word in words):
            return words
    if name == "ARG":
        return _arguments(rest, build_args)
    if name == "HEALTHCHECK":
        return [] if rest == "NONE" else _list(name, rest.removeprefix("CMD").strip())
    raise UnknownInstruction(f"{name} {rest}")


def _list(name: str, rest: str) -> list[str]:
    try:
        found = json.loads(rest)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(word, str) for word in found):
        raise UnknownInstruction(f"{name} without a list would start a shell: {rest}")
    return found
