"""Groups of commands that are imported when one of them is looked at: ``--help`` and other commands do not wait for them."""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib import import_module

import click
import typer
from typer.core import TyperGroup


def add_group(cli: typer.Typer, name: str, place: str, *, help: str) -> None:
    """Add the commands of a module's app as a group.

    Args:
        cli: Where.
        name: The group's name.
        place: Where its :class:`typer.Typer` is: ``"package.module:name"``.
        help: What the group is for, one line.
    """

    class Group(TyperGroup):
        """The commands of one app."""

        _loaded: dict[str, click.Command] | None = None

        @property
        def commands(self) -> MutableMapping[str, click.Command]:
            if self._loaded is None:
                module, _, attribute = place.partition(":")
                group = typer.main.get_command(getattr(import_module(module), attribute))
                assert isinstance(group, click.Group), f"{place} has more than one command"
                self._loaded = dict(group.commands)
            return self._loaded

        @commands.setter
        def commands(self, _: MutableMapping[str, click.Command]) -> None:
            """Typer gives an empty table when it makes the group."""

    cli.add_typer(typer.Typer(cls=Group, no_args_is_help=True), name=name, help=help)
