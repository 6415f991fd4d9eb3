"""``suture-node data``: which data sets this node has; adding, proving and erasing them."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from clients.cli.arguments import Folder

app = typer.Typer(
    name="data",
    help="Add, list, prove and erase data sets.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="Name of the data set.", show_default=False)]


@app.command(epilog="Example: suture-node data add node cardiology --records export.csv --task heart-disease")
def add(
    folder: Folder,
    name: Name,
    records: Annotated[
        Path, typer.Option(help="CSV file; the first line names the columns, each other line is a record.")
    ],
    task: Annotated[
        str, typer.Option(help="The training task it is for; its own reader must be able to read the file.")
    ] = "heart-disease",
    reference: Annotated[
        bool,
        typer.Option("--reference", help="Leave the records where they are; by default they are copied."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    r"""Commit to a CSV file as a new data set, under a fresh salt, and sign its manifest.

    Which task uses it says \[policy] in node.toml: data = { "heart-disease" = "cardiology" }.
    """
    from clients.node.data_sets import add as add_data
    from clients.node.house import load_name, load_policy, open_account
    from clients.node.policy_file import data_rule
    from clients.training.tasks import check_data
    from fl_core.randomness import SystemRandomSource
    from suture_fl.report import one_line

    holder, policy = load_name(folder), load_policy(folder)
    manifest = add_data(
        folder,
        name,
        records,
        task=task,
        account=open_account(folder),
        copy=not reference,
        now=int(time.time()),
        random=SystemRandomSource(),
        check_rows=lambda path: check_data(task, path, holder),
    )
    if as_json:
        typer.echo(json.dumps({"name": name, "records": manifest.records, "commitment": manifest.commitment}))
        return
    to_use = f"To use it, write into [policy] of {folder / 'node.toml'}, {data_rule(policy, task, name)}"
    typer.echo(one_line(f"{name}: {manifest.records} records, commitment {manifest.commitment}"))
    typer.echo(one_line(to_use))


@app.command(name="list", epilog="Example: suture-node data list node --json")
def listing(folder: Folder, as_json: AsJson = False) -> None:
    """List the data sets: records, commitment, which task uses each, and what was erased. Reads no record."""
    from clients.node.data_sets import erased, stored
    from clients.node.house import load_policy
    from suture_fl.report import one_line

    policy = load_policy(folder)
    rows = []
    for one in stored(folder):
        rows.append(
            {
                "name": one.name,
                "records": None if one.manifest is None else one.manifest.records,
                "commitment": None if one.manifest is None else one.manifest.commitment,
                "place": str(one.path),
                "tasks": [task for task in policy.tasks if policy.data_set(task) == one.name],
            }
        )
    gone = {commitment.hex(): at for commitment, at in erased(folder).items()}
    if as_json:
        typer.echo(json.dumps({"data_sets": rows, "erased": gone}))
        return
    for row in rows:
        tasks = ", ".join(row["tasks"]) or "no task"  # type: ignore[arg-type]
        size = "counted when the node starts" if row["records"] is None else f"{row['records']} records"
        typer.echo(one_line(f"{row['name']:16} {size}; used by {tasks}; {row['place']}"))
    for commitment, at in gone.items():
        typer.echo(one_line(f"erased {datetime.fromtimestamp(at, UTC):%Y-%m-%d}: commitment {commitment}"))


@app.command(
    epilog="Examples: suture-node data erase node cardiology --dry-run   |   suture-node data erase node cardiology --yes"
)
def erase(
    folder: Folder,
    name: Name,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would happen, and do nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a data set: its salt, its records in this folder, its manifest. This cannot be undone.

    What contributions say about it on the ledger is a commitment that nobody can link to any record any more. Models that
    were trained with it stay; withdraw consent to stop further rounds.
    """
    from contextlib import closing

    from clients.node.data_sets import erase as erase_data
    from clients.node.erasure import plan_erasure
    from clients.node.logbook import Logbook, account_of
    from fl_core.errors import InputError
    from ledger.logbook import Kind
    from suture_fl.report import one_line

    plan = plan_erasure(folder, name)
    if not as_json:
        for line in plan.lines:
            typer.echo(one_line(line))  # titles of runs are the researchers' own words
    if not dry_run and not yes:
        if as_json or not sys.stdin.isatty():
            raise InputError("erasing cannot be undone.", fix="Look with --dry-run, then add --yes.")
        typer.confirm("Erase it?", abort=True)
    if not dry_run:
        with closing(Logbook(folder, account_of(folder), clock=lambda: int(time.time()))) as logbook:
            commitment = erase_data(folder, name, int(time.time()))
            if commitment:
                logbook.append(Kind.ERASURE, b"", to="", digest=commitment)
    if as_json:
        typer.echo(json.dumps({"name": name, "erased": not dry_run, "runs": plan.runs, "stays": plan.stays}))
    elif not dry_run:
        typer.echo("Erased. Restart `suture-node serve` if it runs.")


@app.command(epilog="Example: suture-node data prove node cardiology 17 > opening.json")
def prove(
    folder: Folder,
    name: Name,
    record: Annotated[
        int, typer.Argument(min=1, help="Which record, from 1; the line after the columns is 1.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Changes nothing: what is printed is JSON.")
    ] = False,
) -> None:
    """Print what shows an auditor that one record is in the data set, and nothing about any other, as JSON.

    Give it away with care: whoever has it and the record can show for ever, also after an erasure, that the record was
    in the data set.
    """
    from clients.node.data_sets import commitment_of, find
    from clients.node.data_sets import prove as prove_record

    opening = prove_record(find(folder, name), record - 1)
    typer.echo(
        json.dumps(
            {
                "format": "suture-record-opening-v1",
                "commitment": commitment_of(folder, name).hex(),
                "position": opening.position,
                "records": opening.records,
                "salt": opening.salt.reveal().hex(),
                "path": [sibling.hex() for sibling in opening.path],
            }
        )
    )
