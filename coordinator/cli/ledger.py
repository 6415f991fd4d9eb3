"""``suture ledger``: founding a consortium's ledger, and what is pinned about one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli import network
from coordinator.cli.office import reading
from ledger.address import code_hash
from ledger.desk.desk import Account, Wishes
from ledger.desk.founding import Plan, describe, found, read_founders
from ledger.desk.options import AccountUri, DryRun, Yes
from ledger.views.binding import AsJson, at
from ledger.views.window import Window, show
from suture_fl.report import one_line

app = typer.Typer(no_args_is_help=True)
app.registered_commands += network.app.registered_commands


@app.command(
    epilog="Example: suture ledger create ledger.toml --as keys/me.json --founder 0x4f...=coordinator --founder 0xa1...=holder"
)
def create(
    file: Annotated[
        Path, typer.Argument(help="The ledger.toml to write; must not exist.", show_default=False)
    ],
    account: AccountUri,
    founder: Annotated[
        list[str],
        typer.Option(
            metavar="ACCOUNT=ROLES",
            help="A first member and its roles, separated by commas; once for each, 1 to 16.",
        ),
    ],
    threshold: Annotated[
        int | None,
        typer.Option(min=1, help="Votes that an act needs. A majority by default.", show_default=False),
    ] = None,
    chain: Annotated[
        str,
        typer.Option(
            help="'embedded:PATH', relative to FILE's folder, or the http(s) URL of a JSON-RPC node."
        ),
    ] = "embedded:ledger.sqlite",
    chain_id: Annotated[
        int | None,
        typer.Option(
            min=1, help="Id that the chain must have; an embedded one is made with it.", show_default=False
        ),
    ] = None,
    confirmations: Annotated[
        int, typer.Option(min=1, help="Blocks until something counts; 1 on chains without forks.")
    ] = 1,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Found a consortium: put a ledger with its first members on a chain, and write the file by which everybody finds it.

    Nobody owns the ledger: whoever founds it has the roles that are named
    for its account, and no others. Later members come by vote.
    """
    founders = read_founders(founder)
    plan = Plan(
        file=file,
        chain=chain,
        chain_id=chain_id,
        founders=founders,
        threshold=len(founders) // 2 + 1 if threshold is None else threshold,
        confirmations=confirmations,
    )
    wishes = Wishes(dry_run=dry_run, yes=yes, as_json=as_json)
    quiet = (lambda _: None) if as_json else lambda line: typer.echo(one_line(line), err=True)
    show(found(plan, Account(account), wishes, quiet), as_json=as_json)


@app.command(name="show", epilog="Example: suture ledger show --ledger ledger.toml")
@at(reading)
def pinned(window: Window) -> None:
    """Check a ledger against what is pinned about it, and show its fingerprint."""
    window.show(describe(window.address, code_hash(window.connection, window.reader.address)))
