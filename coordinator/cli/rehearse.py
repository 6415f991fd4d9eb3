"""``suture rehearse``: the folder of a network of four hospitals in containers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: suture rehearse network && docker compose --env-file network/.env -f deploy/compose/four-hospitals.yaml up -d"


def rehearse(
    folder: Annotated[Path, typer.Argument(help="New folder for the network.", show_default=False)],
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Rounds that the run may have.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Prepare a network of four hospitals for the compose file: certificates, keys, ledger, consents, enrolment.

    For rehearsals on one machine. As root it gives the folder to user 10001,
    which the images run as.
    """
    from coordinator.rehearsal import USER, prepare_rehearsal, start_command
    from suture_fl.report import one_line, starting

    starting(quiet=as_json)
    names = prepare_rehearsal(folder, rounds=rounds)
    if as_json:
        facts = {"folder": str(folder.resolve()), "hospitals": names, "start": start_command()}
        sys.stdout.write(json.dumps(facts, indent=1) + "\n")
        return
    owner = folder.stat().st_uid
    typer.echo(one_line(f"{folder}: certificates, coordinator, {len(names)} nodes ({', '.join(names)})"))
    if owner != USER:
        typer.echo(one_line(f"give it to the images' user: sudo chown -R {USER}:{USER} {folder}"))
    compose = f"docker compose --env-file {folder}/.env -f deploy/compose/four-hospitals.yaml"
    typer.echo(one_line(f"start the network: {compose} up -d --wait"))
    typer.echo(one_line(f"start the run:     {compose} exec superlink {start_command()}"))
