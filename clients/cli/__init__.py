"""``suture-node``: a data holder's command line; a file for each command or group of commands, joined here.

A group is a file with a :class:`typer.Typer` named ``app``; it is added below by ``cli.add_typer(file.app, name="group")``.
Whatever takes time to import is imported within a command.

Exit codes: 0 done; 1 the command failed and says why; 2 wrong usage.
"""

from __future__ import annotations

import typer

from clients.cli import data, doctor, gateway, log, policy, serve, status
from suture_fl.commandline import run
from suture_fl.version import Version

cli = typer.Typer(
    name="suture-node",
    help="Run a data holder's node: the trusted process that owns keys, policy and data, and decides what leaves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
cli.command(epilog=serve.EPILOG)(serve.serve)
cli.command(epilog=gateway.EPILOG)(gateway.gateway)
cli.command(epilog=status.EPILOG)(status.status)
cli.command(epilog=doctor.EPILOG)(doctor.doctor)
cli.add_typer(data.app, name="data")
cli.add_typer(log.app, name="log")
cli.add_typer(policy.app, name="policy")


@cli.callback()
def root(version: Version = False) -> None:
    """Group the commands, also while there are few."""


def main() -> None:
    """Run the command line; one line for an error, no traceback for what a person can mend."""
    run(cli)
