"""Mutants of a Vyper source: one small mistake in one line each, made systematically and in the order of the file.

Text is changed, not a syntax tree: a mutant is one replaced line, so the published list can be read beside the source.
Comments, docstrings, declarations, and lines that only name an argument of a call are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VyperMutant:
    """One line, changed.

    Attributes:
        contract: Name of the contract.
        line: Number of the line, from 1.
        operator: What kind of mistake it is.
        before: The line as it was, without indentation.
        after: The line as it became.
        source: The whole mutated text.
    """

    contract: str
    line: int
    operator: str
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """Stable as long as the line does not change: operator and new text, without the number of the line."""
        return f"{self.operator}: {self.after if self.after != 'pass' else self.before}"


_REPLACED = (
    ("comparison", r" >= ", " > "),
    ("comparison", r" <= ", " < "),
    ("comparison", r" > (?!>)", " >= "),
    ("comparison", r" < (?!<)", " <= "),
    ("comparison", r" == ", " != "),
    ("comparison", r" != ", " == "),
    ("membership", r" not in ", " in "),
    ("half a condition", r"(_require\(|assert )(?:not )?([^,\"]+?) and ([^,\"]+?)(?=, \")", r"\1\2"),
    ("half a condition", r"(_require\(|assert )(?:not )?([^,\"]+?) and ([^,\"]+?)(?=, \")", r"\1\3"),
    ("half a condition", r"(_require\(|assert )(?:not )?([^,\"]+?) or ([^,\"]+?)(?=, \")", r"\1\2"),
    ("half a condition", r"(_require\(|assert )(?:not )?([^,\"]+?) or ([^,\"]+?)(?=, \")", r"\1\3"),
    ("half a condition", r"^(    +if )(.+) (?:and|or) (.+):$", r"\1\2:"),
    ("half a condition", r"^(    +if )(.+) (?:and|or) (.+):$", r"\1\3:"),
    ("off by one", r" \+ 1\b", " + 2"),
    ("off by one", r" - 1\b", " - 2"),
    ("off by one", r" \+= 1$", " += 2"),
    ("off by one", r" -= 1$", " -= 2"),
    ("sign", r" \+= ", " -= "),
    ("sign", r" -= ", " += "),
    ("sign", r"(?<=\w) \+ (?=\w)(?!1\b)", " - "),
    ("sign", r"(?<=\w) - (?=\w)(?!1\b)", " + "),
    ("shift", r"(<<|>>) 128", r"\1 127"),
    ("role", r"Role\.HOLDER(?= \||\)| not)", "Role.RESEARCHER"),
    ("role", r"Role\.AUDITOR(?= \||\))", "Role.HOLDER"),
    ("role", r"Role\.RESEARCHER(?= \|)", "Role.AUDITOR"),
    ("role", r"Role\.COORDINATOR(?=\))", "Role.RESEARCHER"),
    ("state", r"= RUN_CLOSING\b", "= RUN_CLOSED"),
    ("state", r"= RUN_(CLOSED|STOPPED)\b", "= RUN_OPEN"),
    ("state", r"= ROUND_(COMMITTED|INCLUDED|FINALISED|ABORTED)\b", "= ROUND_OPEN"),
    ("state", r"\[(\w+), (\w+)\]", r"[\1, \1]"),
    ("state", r"\[(\w+), (\w+)\]", r"[\2, \2]"),
    ("state", r"\[(\w+), (\w+), (\w+)\]", r"[\1, \2, \2]"),
    ("wrong account", r"\bmsg\.sender(?= == |\]|, )", "tx.origin"),
    ("wrong account", r"== msg\.sender\b", "!= msg.sender"),
    ("wrong variable", r"\bsince=since\b", "since=0"),
    ("wrong variable", r"\bcost=cost\b", "cost=0"),
    ("wrong event", r"^(    +log .*)\bgiven=True", r"\1given=False"),
    ("wrong event", r"^(    +log .*)\bgiven=False", r"\1given=True"),
    ("wrong event", r"^(    +log .*)\broot=root", r"\1root=empty(bytes32)"),
    ("wrong event", r"^(    +log .*)\b(amount|spent|votes|granted|count)=[\w.]+", r"\1\2=0"),
    (
        "wrong event",
        r"^(    +log .*)\b(holder|account|member|sponsor|by|voter)=[\w.]+",
        r"\1\2=empty(address)",
    ),
    ("wrong event", r"^(    +log .*)\bround=n\b", r"\1round=0"),
    ("wrong constant", r"^(    +)self\.paused = True", r"\1self.paused = False"),
    ("wrong constant", r"^(    +)self\.paused = False", r"\1self.paused = True"),
    ("wrong constant", r"(HALF_ORDER: .*)747_168", r"\1747_169"),
    ("wrong constant", r"(MAX_CLOSING_DELAY: .*)366", r"\1365"),
    ("wrong constant", r"\bv != 27 and v != 28\b", "v != 27 and v != 29"),
    ("hash once", r"keccak256\(keccak256\((.*)\)\)", r"keccak256(\1)"),
    ("domain", r"x\"1901\", DOMAIN", 'x"1901", empty(bytes32)'),
)
_DROPPED = (
    ("dropped check", r"^    +self\._require\(.*\)$"),
    ("dropped check", r"^    +assert (?!extcall|holds).*$"),
    ("dropped check", r"^    +self\._require(Live|Role|Open|Coordinator)\(.*\)$"),
    ("dropped check", r"^    +self\._checkReceiver\(.*\)$"),
    ("missing effect", r"^    +self\.[\w.\[\]]+ (=|\+=|-=) .*[^(]$"),
    ("missing effect", r"^    +(progress|limits)\.\w+ (=|\+=|-=) .*$"),
    ("missing effect", r"^    +spent \+= .*$"),
    ("missing effect", r"^    +self\._(settle|refund|strikeConsent|deposit)\(.*\)$"),
    ("missing effect", r"^    +return$"),
    ("missing event", r"^    +log \w+\(.*\)$"),
)


def mutants_of(contract: str, source: str) -> Iterator[VyperMutant]:
    """Yield the mutants of a source, in the order of its lines.

    Args:
        contract: Name of the contract.
        source: Its Vyper text.
    """
    lines = source.splitlines(keepends=True)
    for number, line in _code(source):
        text = line.rstrip("\n")
        seen = {text}
        for operator, after in _changes(text):
            if after in seen:
                continue
            seen.add(after)
            changed = [*lines[: number - 1], after + "\n", *lines[number:]]
            yield VyperMutant(contract, number, operator, text.strip(), after.strip(), "".join(changed))
    pragma = "# pragma nonreentrancy on\n"
    if pragma in lines:
        where = lines.index(pragma)
        without = "".join([*lines[:where], "\n", *lines[where + 1 :]])
        yield VyperMutant(contract, where + 1, "missing lock", pragma.strip(), "", without)


def _code(source: str) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of function bodies, and the constants; no comments, no docstrings."""
    quoted = False
    for number, line in enumerate(source.splitlines(), start=1):
        if line.count('"""') == 1:
            quoted = not quoted
            continue
        constant = re.match(r"[A-Z_]+: constant", line)
        if not quoted and (line.startswith("    ") or constant) and not line.lstrip().startswith("#"):
            yield number, line


def _changes(line: str) -> Iterator[tuple[str, str]]:
    indent = line[: len(line) - len(line.lstrip())]
    for operator, pattern in _DROPPED:
        if re.match(pattern, line):
            yield operator, f"{indent}pass"
    for operator, pattern, replacement in _REPLACED:
        found = re.search(pattern, line)
        if found:
            yield operator, line[: found.start()] + found.expand(replacement) + line[found.end() :]
