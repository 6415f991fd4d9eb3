"""``suture``: the researcher's command line; a file for each command or group of commands, joined here.

A group is a file with a :class:`typer.Typer` named ``app``; it is added below by ``cli.add_typer(file.app, name="group")``.
Whatever takes time to import is imported within a command.

Exit codes: 0 done; 1 the command failed and says why; 2 wrong usage; 3 the audit of the demo's run failed;
130, 143 or 129 ended by Ctrl-C, SIGTERM or SIGHUP.
"""

from __future__ import annotations

import typer

from coordinator import parameters_command
from coordinator.cli import demo, network, relay
from suture_fl.commandline import run
from suture_fl.version import Version

cli = typer.Typer(
    name="suture",
    help="Federated learning whose updates nobody can open and whose models anybody can audit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
cli.command(epilog=demo.EPILOG)(demo.demo)
cli.command(epilog=relay.EPILOG)(relay.relay)
cli.add_typer(network.app, name="ledger", help="Start a chain for a ledger.")
cli.command(epilog=parameters_command.EPILOG)(parameters_command.parameters)


@cli.callback()
def root(version: Version = False) -> None:
    """Group the commands, also while there are few."""


def main() -> None:
    """Run the command line; one line for an error, no traceback for what a person can mend."""
    run(cli)
