"""``suture-node``: a data holder's command line; a file for each command or group of commands, joined here.

A group is a :class:`typer.Typer` in a file, added below by :func:`suture_fl.lazy.add_group`, which imports the file when it is needed.
Whatever takes time to import is imported within a command, or in a file of a group.

Exit codes: 0 done; 1 the command failed and says why; 2 wrong usage; 4 the ledger refused; 5 try again later: chain busy, node
unreachable, receipt pending.
"""

from __future__ import annotations

import typer

from clients.cli import alive, data, doctor, gateway, init, log, objection, policy, serve, status, supernode
from suture_fl.commandline import run
from suture_fl.lazy import add_group
from suture_fl.version import Version

cli = typer.Typer(
    name="suture-node",
    help="Run a data holder's node: the trusted process that owns keys, policy and data, and decides what leaves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
cli.command(epilog=init.EPILOG)(init.init)
cli.command(epilog=init.JOIN_EPILOG)(init.join)
cli.command(epilog=serve.EPILOG)(serve.serve)
cli.command(epilog=gateway.EPILOG)(gateway.gateway)
cli.command(epilog=supernode.EPILOG)(supernode.supernode)
cli.command(epilog=alive.EPILOG)(alive.alive)
cli.command(epilog=status.EPILOG)(status.status)
cli.command(epilog=doctor.EPILOG)(doctor.doctor)
cli.command(epilog=objection.EPILOG)(objection.objection)
cli.add_typer(data.app, name="data")
cli.add_typer(log.app, name="log")
cli.add_typer(policy.app, name="policy")
add_group(
    cli, "keys", "clients.cli.keys:app", help="The keys that sign for you: show, register, rotate, history."
)
add_group(cli, "consent", "clients.cli.consent:app", help="Which runs may use your data.")
add_group(
    cli, "budget", "clients.cli.budget:app", help="How much privacy budget runs may spend of your data."
)
add_group(cli, "vote", "clients.cli.governance:vote", help="Propose acts and vote for them, as a member.")
add_group(cli, "rewards", "clients.cli.governance:rewards", help="What you earned; claim it.")


@cli.callback()
def root(version: Version = False) -> None:
    """Group the commands, also while there are few."""


def main() -> None:
    """Run the command line; one line for an error, no traceback for what a person can mend."""
    run(cli)
