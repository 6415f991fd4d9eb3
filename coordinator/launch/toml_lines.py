"""Where the keys of a TOML document stand, which :mod:`tomllib` does not tell.

The document is one that :mod:`tomllib` has accepted, so this scanner has nothing to refuse: it steps over values as TOML 1.0 writes
them, strings of several lines and arrays included, and notes the line on which each key begins.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

_GAP = re.compile(r"(?:[\s,]|#[^\n]*)*")
_PART = r"""(?:[\w-]+|"(?:\\.|[^"\\])*"|'[^']*')"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_HEAD = re.compile(r"\[\[?[ \t]*")
_HEAD_END = re.compile(r"[ \t]*\]\]?")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_SCALAR = re.compile(
    r'''"""(?:\\.|[^\\])*?""""{0,2}'''
    r"""|\'\'\'.*?\'\'\''{0,2}"""
    r"""|"(?:\\.|[^"\\])*"|'[^']*'"""
    r"""|[^\s,\]}#]+(?: \d[^\s,\]}#]*)?""",  # a date and a time may have a space between them
    re.DOTALL,
)
IN_ARRAY = "[]"
"""A part of the name of every key inside an array, which no key of a table that is looked for has."""


def line_of(text: str, key: str) -> int:
    """Return the line on which a dotted key stands; without it the line of its table, or of the table's; 1 if there is none."""
    scan = _Scan(text)
    while key and key not in scan.own and key not in scan.implied:
        key = key.rpartition(".")[0]
    return scan.own.get(key) or scan.implied.get(key) or 1


class _Scan:
    """One pass over a document.

    Attributes:
        own: Dotted name of a key or a table's header -> its first line.
        implied: Dotted name of a table that only a longer name makes -> that name's first line.
    """

    def __init__(self, text: str) -> None:
        self.own: dict[str, int] = {}
        self.implied: dict[str, int] = {}
        self._text, self._at = text, 0
        self._line, self._counted = 1, 0
        table: tuple[str, ...] = ()
        while self._next():
            if self._next() == "[":
                self._take(_HEAD)
                table = self._key(())
                self._take(_HEAD_END)
            else:
                self._pair(table)

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:  # pragma: no cover - a document that tomllib refuses
            raise ValueError("no TOML")
        self._at = found.end()
        return found[0]

    def _next(self) -> str:
        """Step over blanks, commas and comments; return the character behind them, or an empty string at the end."""
        self._take(_GAP)
        return self._text[self._at : self._at + 1]

    def _key(self, table: tuple[str, ...]) -> tuple[str, ...]:
        self._line += self._text.count("\n", self._counted, self._at)
        line, self._counted = self._line, self._at
        found: Mapping[str, object] = tomllib.loads(f"{self._take(_KEY)} = {{}}")
        while found:
            [name] = found
            table, found = (*table, name), found[name]  # type: ignore[assignment]
            self.implied.setdefault(".".join(table), line)
        self.own.setdefault(".".join(table), line)
        return table

    def _pair(self, table: tuple[str, ...]) -> None:
        key = self._key(table)
        self._take(_EQUALS)
        self._value(key)

    def _value(self, key: tuple[str, ...]) -> None:
        opened = self._text[self._at]
        if opened not in "{[":
            self._take(_SCALAR)
            return
        self._at += 1
        while self._next() not in "}]":
            if opened == "{":
                self._pair(key)
            else:
                self._value((*key, IN_ARRAY))
        self._at += 1
