"""``suture ledger network`` and ``node-key``: the files from which a consortium starts a chain of its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suture_fl.report import one_line, starting

if TYPE_CHECKING:  # it takes time to import
    from ledger.network.files import NetworkPlan

NETWORK_EPILOG = (
    "Examples: suture ledger network net --host 10.0.0.1 --host 10.0.0.2 --host 10.0.0.3 --host 10.0.0.4 --dry-run"
    " | suture ledger network net --host 10.0.0.1:30303=PUBLICKEY --host 10.0.0.2:30303=PUBLICKEY --account 0x4f..."
)
KEY_EPILOG = "Example: suture ledger node-key key"
app = typer.Typer(no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


@app.command(epilog=NETWORK_EPILOG)
def network(
    folder: Annotated[Path, typer.Argument(help="New folder for the files.", show_default=False)],
    host: Annotated[
        list[str],
        typer.Option(
            metavar="IP[:PORT][=PUBLICKEY]",
            help="A validator's host; once for each. With the public key of a node key that the member made itself.",
        ),
    ],
    chain_id: Annotated[int, typer.Option(min=1, max=2**31 - 1, help="Id of the chain.")] = 20_260,
    period: Annotated[int, typer.Option(min=1, max=3600, help="Seconds between two blocks.")] = 2,
    account: Annotated[
        list[str] | None,
        typer.Option(
            metavar="0x...",
            help="Account that may send transactions. Everybody's by default.",
            show_default=False,
        ),
    ] = None,
    image: Annotated[str | None, typer.Option(help="Besu's container image.", show_default=False)] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the files of a Besu network with QBFT: genesis, node keys, peers, permissions, and a compose file for each host.

    A validator for each member, blocks that are final at once, free gas.
    Each host's folder goes to its member. Better than keys made here: each
    member makes its own with `suture ledger node-key` and sends the public one.
    """
    starting(quiet=as_json)
    from fl_core.randomness import SystemRandomSource
    from ledger.network.besu import IMAGE
    from ledger.network.files import NetworkPlan, check_free, folders_without_key, write_network
    from ledger.network.hosts import LEAST_FOR_FAULTS, read_accounts, read_hosts

    check_free(folder)
    plan = NetworkPlan(
        folder=folder,
        hosts=read_hosts(host, SystemRandomSource()),
        chain_id=chain_id,
        period_s=period,
        accounts=read_accounts(account or []),
        image=image or IMAGE,
    )
    if not dry_run:
        write_network(plan)
    if as_json:
        files = [str(path.relative_to(folder)) for path in plan.files()]
        sys.stdout.write(
            json.dumps({**plan.description(), "files": files, "written": not dry_run}, indent=1) + "\n"
        )
        return
    _tell(plan, written=not dry_run)
    for path in folders_without_key(plan):
        typer.echo(one_line(f"  {path.name}: its member puts its own node key there, as `key`"))
    typer.echo(one_line(f"chain {chain_id}, block 0 is 0x{plan.description()['genesis_hash']}"))
    if len(plan.hosts) < LEAST_FOR_FAULTS:
        note = f"note: fewer than {LEAST_FOR_FAULTS} validators tolerate none that lies or is down"
        typer.echo(one_line(note), err=True)


def _tell(plan: NetworkPlan, *, written: bool) -> None:
    """Say what was written, or would be."""
    done = "wrote" if written else "would write"
    typer.echo(one_line(f"{done} {len(plan.files())} files to {plan.folder}"))
    for item in plan.hosts:
        secret = ", with its key: hand the folder over in private" if written and item.key is not None else ""
        typer.echo(one_line(f"  {plan.folder_of(item).name}: validator 0x{item.validator.hex()}{secret}"))
    if not written and any(item.key is not None for item in plan.hosts):
        typer.echo("  keys are made when the files are written, so these addresses will be others")


@app.command(name="node-key", epilog=KEY_EPILOG)
def node_key(
    path: Annotated[Path, typer.Argument(help="New file for the key.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Make the key of a Besu node, readable by its owner only, and print its public half for `suture ledger network`."""
    starting(quiet=as_json)
    from eth_keys.datatypes import PublicKey

    from fl_core.randomness import SystemRandomSource
    from ledger.network.files import write_key
    from ledger.network.hosts import new_key, public_key_of

    key = new_key(SystemRandomSource())
    write_key(path, key.reveal().hex().encode())
    public = public_key_of(key)
    address = PublicKey(public).to_canonical_address().hex()
    if as_json:
        sys.stdout.write(json.dumps({"public_key": public.hex(), "address": address}, indent=1) + "\n")
    else:
        typer.echo(one_line(f"public key  {public.hex()}"))
        typer.echo(one_line(f"validator   0x{address}"))
