"""``suture run``, ``suture token`` and ``suture rewards``: a run's life on the ledger, and what it pays."""

from __future__ import annotations

import typer

from coordinator.cli.curves import EPILOG as CURVES
from coordinator.cli.curves import curves
from coordinator.cli.office import acting, reading
from ledger.desk import rewards as paying
from ledger.desk import roots, runs, tokens
from ledger.views.binding import at

run = typer.Typer(no_args_is_help=True)
token = typer.Typer(no_args_is_help=True)
rewards = typer.Typer(no_args_is_help=True)

run.command(epilog="Example: suture run create terms.json --token 0x9a... --as keys/researcher.json")(
    at(acting)(runs.create)
)
run.command(name="list", epilog="Example: suture run list --ledger ledger.toml")(at(reading)(runs.listing))
run.command(epilog="Example: suture run show 1f2e --json")(at(reading)(runs.show))
run.command(epilog="Example: suture run root model.safetensors 1f2e --as keys/coordinator.json")(
    at(acting)(roots.root)
)
run.command(epilog="Example: suture run close 1f2e --as keys/researcher.json")(at(acting)(runs.close))
run.command(epilog="Example: suture run settle 1f2e --as keys/researcher.json --dry-run")(
    at(acting)(runs.settle)
)
run.command(epilog=CURVES)(curves)

token.command(epilog="Example: suture token create --cap 1000000 --as keys/researcher.json")(
    at(acting)(tokens.create)
)
token.command(epilog="Example: suture token mint 0x9a... 1500 --as keys/researcher.json")(
    at(acting)(tokens.mint)
)
token.command(epilog="Example: suture token show 0x9a...")(at(reading)(tokens.show))

rewards.command(epilog="Example: suture rewards show --ledger runs/one")(at(reading)(paying.show))
rewards.command(epilog="Example: suture rewards push --from runs/one --as keys/me.json")(
    at(acting)(paying.push)
)
