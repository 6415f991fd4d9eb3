"""What ``--help`` shows: every word in brackets, which the rendering could take for markup and swallow."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module

import click
import pytest
import typer
from typer.testing import CliRunner

from tests.unit.docs.test_docs import PROGRAMS

BRACKETS = re.compile(r"\[[^\s\[\]]+\]")
WIDE = {"COLUMNS": "400", "TERMINAL_WIDTH": "400"}


def application(name: str) -> typer.Typer:
    module = import_module(PROGRAMS[name])
    found = [value for value in vars(module).values() if isinstance(value, typer.Typer)]
    [app] = [one for one in found if one.info.name == name]
    return app


def commands(command: click.Command, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield a command and everything below it, with the words that call it."""
    yield words, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands(below, *words, name)


def written(command: click.Command) -> set[str]:
    """Return the words in brackets of a command's docstring, epilog and options, without the backslash that keeps them."""
    texts = [command.help, command.epilog, *(getattr(one, "help", None) for one in command.params)]
    return {word for text in texts if text for word in BRACKETS.findall(text)}


def shown(app: typer.Typer, words: tuple[str, ...]) -> str:
    done = CliRunner().invoke(app, [*words, "--help"], env=WIDE)
    assert done.exit_code == 0, words
    return done.output


def lost(app: typer.Typer) -> dict[str, set[str]]:
    """Return the words in brackets that no reader of a command's help sees, by command."""
    found = {}
    for words, command in commands(typer.main.get_command(app)):
        if expected := written(command):
            found[" ".join(words)] = {word for word in expected if word not in shown(app, words)}
    return {words: missing for words, missing in found.items() if missing}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_help_loses_no_word_in_brackets(program):
    assert lost(application(program)) == {}


def test_words_in_brackets_are_looked_for_where_there_are_some():
    app = application("suture-node")
    expected = {" ".join(words): written(one) for words, one in commands(typer.main.get_command(app))}
    assert (expected["serve"], expected["data add"]) == ({"[network]"}, {"[policy]"})


def test_a_word_in_brackets_that_is_taken_for_markup_would_be_found():
    app = typer.Typer(rich_markup_mode="rich")

    @app.command()
    def serve(port: int = typer.Option(1, help="Port of [network].")) -> None:
        r"""Read [policy] and \[network]."""

    assert lost(app) == {"": {"[policy]"}}
