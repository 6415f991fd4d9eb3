"""``suture``: the researcher's command line; a file for each command or group of commands, joined here.

A group is a :class:`typer.Typer` in a file, added below by :func:`suture_fl.lazy.add_group`, which imports the file when it is needed.
Whatever takes time to import is imported within a command, or in a file of a group.

Exit codes: 0 done; 1 the command failed and says why; 2 wrong usage; 3 the audit of the demo's run failed; 4 the ledger refused;
5 try again later: chain busy, node unreachable, receipt pending; 130, 143 or 129 ended by Ctrl-C, SIGTERM or SIGHUP.
"""

from __future__ import annotations

import typer

from coordinator import parameters_command
from coordinator.cli import (
    alive,
    certificates,
    demo,
    launch,
    metrics,
    objection,
    pause,
    rehearse,
    relay,
    run_end,
    run_view,
)
from suture_fl.commandline import run
from suture_fl.lazy import add_group
from suture_fl.version import Version

cli = typer.Typer(
    name="suture",
    help="Federated learning whose updates nobody can open and whose models anybody can audit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
cli.command(epilog=demo.EPILOG)(demo.demo)
cli.command(epilog=launch.LAUNCH)(launch.launch)
cli.command(epilog=launch.RESUME)(launch.resume)
cli.command(epilog=run_view.STATUS)(run_view.status)
cli.command(epilog=run_view.WATCH)(run_view.watch)
cli.command(epilog=run_view.NODES)(run_view.nodes)
cli.command(epilog=run_end.FETCH)(run_end.fetch)
cli.command(epilog=run_end.ABORT)(run_end.abort)
cli.command(epilog=relay.EPILOG)(relay.relay)
cli.command(epilog=alive.EPILOG)(alive.alive)
cli.command(epilog=certificates.EPILOG)(certificates.certificates)
cli.command(epilog=rehearse.EPILOG)(rehearse.rehearse)
cli.command(epilog=metrics.EPILOG)(metrics.metrics)
cli.command(epilog=parameters_command.EPILOG)(parameters_command.parameters)
cli.command(epilog=pause.EPILOG)(pause.pause)
cli.command(epilog=objection.EPILOG)(objection.objection)
add_group(
    cli, "keys", "coordinator.cli.keys:app", help="Accounts in keystore files, and registered signing keys."
)
add_group(
    cli,
    "ledger",
    "coordinator.cli.ledger:app",
    help="Found a consortium's ledger; start a chain for it; check what is pinned.",
)
add_group(
    cli, "member", "coordinator.cli.governance:member", help="Who takes part, with which roles and keys."
)
add_group(
    cli, "superlink", "coordinator.cli.superlink:app", help="Flower's SuperLink for production, and its door."
)
add_group(cli, "vote", "coordinator.cli.governance:vote", help="Propose acts and vote for them.")
add_group(
    cli, "run", "coordinator.cli.money:run", help="Create runs with their escrow, look at them, close them."
)
add_group(cli, "token", "coordinator.cli.money:token", help="A reward token for consortia that have none.")
add_group(
    cli, "rewards", "coordinator.cli.money:rewards", help="What a run's contributors earned; have them paid."
)


@cli.callback()
def root(version: Version = False) -> None:
    """Group the commands, also while there are few."""


def main() -> None:
    """Run the command line; one line for an error, no traceback for what a person can mend."""
    run(cli)
