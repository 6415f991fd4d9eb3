"""``suture-node``: a data holder's command line.

Exit codes: 0 done; 1 the command failed and says why; 2 wrong usage.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Annotated

import typer

from suture_fl.commandline import run

cli = typer.Typer(
    name="suture-node",
    help="Run a data holder's node: the trusted process that owns keys, policy and data, and decides what leaves.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

Folder = Annotated[Path, typer.Argument(help="The node's folder.", show_default=False)]


@cli.callback()
def root() -> None:
    """Group the commands, also while there are few."""


@cli.command(epilog="Example: suture-node serve /srv/suture/node --socket /run/suture/node.sock")
def serve(
    folder: Folder,
    socket: Annotated[Path, typer.Option(help="Unix socket for the glue; only its owner can connect.")],
) -> None:
    """Answer the glue's calls on a Unix socket until SIGTERM, SIGHUP or Ctrl-C."""
    from clients.node.house import open_house, open_node
    from clients.node.server import NodeServer
    from fl_core.randomness import SystemRandomSource

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    node = open_node(open_house(folder), clock=lambda: int(time.time()), random=SystemRandomSource())
    server = NodeServer(node, socket)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    server.start()
    logging.getLogger("suture.node").info("%s answers on %s", node.name, socket)
    stop.wait()
    server.close()
    node.close()


@cli.command(epilog="Example: suture-node status /srv/suture/node --json")
def status(folder: Folder, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show who this node is, which ledger it follows and what its policy allows."""
    from json import dumps

    from clients.node.house import accepted_terms, open_house

    house = open_house(folder)
    facts = {
        "name": house.name,
        "account": f"0x{house.account.address.hex()}",
        "ledger": None if house.ledger is None else f"{house.ledger.chain} (0x{house.ledger.contract})",
        "records": house.manifest.records,
        "data set commitment": house.manifest.commitment.hex(),
        "tasks": list(house.policy.tasks),
        "plaintext allowed": house.policy.allow_plaintext,
        "CKKS allowed": house.policy.allow_ckks,
        "accepted terms": [terms.title for terms in accepted_terms(folder).values()],
    }
    if json:
        typer.echo(dumps(facts))
        return
    for name, value in facts.items():
        typer.echo(f"{name:20} {value if value is not None else '-'}")


def main() -> None:
    """Run the command line; one line for an error, no traceback for what a person can mend."""
    run(cli)


if __name__ == "__main__":
    main()
