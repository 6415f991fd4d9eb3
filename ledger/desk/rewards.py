"""Claiming rewards: an account's own (pull), or everybody's (push). Who is paid never depends on who asks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from fl_core.errors import InputError
from ledger.desk.desk import Desk, Step
from ledger.views.rewards import Earnings, earnings, rewards
from ledger.views.runs import Money
from ledger.views.weights import with_weights
from ledger.views.window import Answer, Window

RunId = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="The run's id or the beginning of it; not needed if there is only one.",
        show_default=False,
    ),
]
Source = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="The run's public folder, or the newest rewards document. By default the folder that the ledger's chain is in.",
        show_default=False,
    ),
]
Weights = Annotated[
    bool,
    typer.Option(
        "--weights",
        help="Show also the weights that were opened, round by round, in a run that pays by examples.",
    ),
]


def show(window: Window, run: RunId = None, source: Source = None, weights: Weights = False) -> None:
    """Show what every account earned in a run, was paid, and can claim; checked against the ledger."""
    tell(window, run, source, weights=weights)


def tell(
    window: Window, run: str | None, source: Path | None, *, weights: bool, only: bytes | None = None
) -> None:
    """Show what all accounts earned, or one; and by which weights."""
    found = earnings(window, window.run(run), source)
    answer = rewards(window, found, only)
    window.show(with_weights(window, found, source, answer, only) if weights else answer)


def push(desk: Desk, run: RunId = None, source: Source = None) -> None:
    """Have everybody paid what they can claim; anybody may, and the tokens go to those who earned them."""
    found = earnings(desk, desk.run(run), source)
    pay(desk, found, [account for account in sorted(found.earned) if found.due(account) > 0])


def claim(desk: Desk, run: RunId = None, source: Source = None) -> None:
    """Have this account paid what it can claim."""
    found = earnings(desk, desk.run(run), source)
    own = desk.account.address
    if found.round and own not in found.earned:
        raise InputError(
            "This account earned nothing in this run.", fix="See what others earned with `rewards show`."
        )
    pay(desk, found, [own] if found.due(own) > 0 else [])


def pay(desk: Desk, found: Earnings, accounts: Sequence[bytes]) -> None:
    """Claim for accounts, one transaction each."""
    if not accounts:
        desk.show(
            Answer({"dry_run": desk.wishes.dry_run, "transactions": []}, ["There is nothing to claim."])
        )
        return
    money = Money.of(desk.reader, found.run.token)
    desk.act([_claim(desk, found, account, money) for account in accounts])


def _claim(desk: Desk, found: Earnings, account: bytes, money: Money) -> Step:
    run, total, proof = found.run.id, found.earned[account], found.proof(account)
    return Step(
        f"pay {money.write(found.due(account))} to {desk.name(account)}",
        f"{run.hex()}/{found.round}/claim/{account.hex()}",
        lambda w, i: w.claim(run, found.round, account, total, proof, intent=i),
    )
