"""The lines of a TOML document's keys, held against documents that are written with a note of where each key went."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.launch.toml_lines import line_of

STYLES = ("{}", '"{}"', "'{}'", '"\\u006b{}"')
"""A name that begins with k: bare, quoted, literal, and with an escape for that letter."""
PLAIN = (
    "3", "-1.5e3", "true", "inf", "1979-05-27 07:32:00Z", "1979-05-27", "07:32:00", '""', "''", '"k1 = 3"', "'[k1]'",
    '"a \\" b # k2 = 1 \\\\"', '"""\nk1 = 3\n[k2]\n"""', '"""a \\"""\nk3 = 1"""""', "'''\n[k1]\nk2 = \\'''", "''''k1 = 1'''''",
    '"""\n\n"""', "'''k'''",
)  # fmt: skip
BETWEEN = ("\n", "\n\n", " # k1 = 3 ]}\n", "\n\t# [k2]\n  ", "\r\n")

VALUES = st.recursive(
    st.sampled_from(PLAIN),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.just(0) | st.just(1), inner)),
    max_leaves=6,
)
STATEMENTS = st.lists(
    st.tuples(
        st.sampled_from(["table", "tables", "pair", "pair"]),
        st.lists(st.sampled_from(STYLES), min_size=1, max_size=3),
        VALUES,
        st.sampled_from(BETWEEN),
    ),
    max_size=8,
)


class Written:
    """A document that is written from its start to its end, and the line of each key in it."""

    def __init__(self) -> None:
        self.text, self.lines, self._names = "", {}, 0

    def add(self, kind: str, styles: list[str], value: object, between: str, table: str) -> str:
        """Write a statement; return the table that the next one is in."""
        if kind == "pair":
            self._pair(styles, value, table)
        else:
            self.text += "[ " if kind == "table" else "[[ "
            table = self._key(styles, "")
            self.text += " ]" if kind == "table" else " ]]"
        self.text += between
        return table

    def _key(self, styles: list[str], table: str) -> str:
        line, written = 1 + self.text.count("\n"), []
        for style in styles:
            self._names += 1
            name = f"k{self._names}"
            table = f"{table}.{name}" if table else name
            self.lines[table] = line
            written.append(style.format(name.removeprefix("k") if "\\u" in style else name))
        self.text += " . ".join(written)
        return table

    def _pair(self, styles: list[str], value: object, table: str) -> None:
        key = self._key(styles, table)
        self.text += "= "
        self._value(key, value)

    def _value(self, key: str, value: object) -> None:
        if isinstance(value, dict):
            self.text += "{ "
            for number, inner in enumerate(value.values()):
                self.text += ", " if number else ""
                self._pair(["{}", "'{}'"][: number + 1], inner, key)
            self.text += "}"
        elif isinstance(value, list):
            self.text += "[ # [k1]\n"
            for inner in value:
                self._value(f"{key}.[]", inner)
                self.text += "\n,"
            self.text += "]"
        else:
            self.text += str(value)


def names(document: object, table: str = "") -> Iterator[str]:
    """Yield every key of a parsed document with its tables, outside of arrays."""
    for name, value in document.items() if isinstance(document, dict) else ():
        key = f"{table}.{name}" if table else name
        yield key
        yield from names(value, key)


@given(STATEMENTS)
@example([("pair", ["{}"], '"""\nk2 = 1"""', "\n"), ("pair", ["'{}'"], "3", "\n")])
def test_every_key_is_found_on_the_line_on_which_it_was_written(statements):
    written, table = Written(), ""
    for statement in statements:
        table = written.add(*statement, table)
    found = set(names(tomllib.loads(written.text)))
    assert found <= set(written.lines)
    assert {key: line_of(written.text, key) for key in written.lines} == written.lines, written.text


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("", "a", 1),
        ("b = 1\n", "a.c", 1),
        ("\n[a]\nb = 1\n", "a.c", 2),
        ("\n[a.b]\nc = 1\n[a]\n", "a", 4),
        ("\n[a.b]\nc = 1\n", "a.x", 2),
        ("\n[[a]]\nb = 1\n[[a]]\nb = 2\n", "a", 2),
        ("\nx = [{a = 1}]\n[y]\na = 2\n", "y.a", 4),
        ('a = "\u2028"\nb = 1\n', "b", 2),
        ("\n[a]\nb = 1\n[c]\nb = 2\n", "c.b", 5),
    ],
)
def test_a_key_that_is_missing_is_where_its_table_is(text, key, line):
    tomllib.loads(text)
    assert line_of(text, key) == line
