"""A reward token for consortia that have none: make it, make units of it, look at balances."""

from __future__ import annotations

from typing import Annotated

import typer

from fl_core.errors import InputError
from ledger.desk.desk import Desk, Step, next_nonce
from ledger.views.members import ever_members
from ledger.views.runs import Money
from ledger.views.window import Answer, Window, table
from ledger.writer import creation_code

DECIMALS = 18
Token = Annotated[str, typer.Argument(help="The token's contract.", show_default=False)]


def create(
    desk: Desk,
    cap: Annotated[str, typer.Option(help="Most tokens there can ever be.")],
) -> None:
    """Put a new reward token on the chain; the account that acts is the only one that can make units."""
    units = _units(cap)
    code = creation_code("RewardToken", desk.account.address, units)
    step = Step(
        f"make a token with a cap of {cap}, issued by {desk.name(desk.account.address)}",
        f"deploy RewardToken {cap}/{next_nonce(desk)}",
        lambda w, i: w.deploy(code, "RewardToken", intent=i),
    )
    desk.act([step], told=lambda receipts: {"token": f"0x{(receipts[0].contract or b'').hex()}"})


def mint(
    desk: Desk,
    token: Token,
    amount: Annotated[str, typer.Argument(help="How many tokens.", show_default=False)],
    to: Annotated[
        str | None, typer.Option(help="Who gets them. The account that acts by default.", show_default=False)
    ] = None,
) -> None:
    """Make units of a token that this account issues."""
    contract, receiver = desk.account_of(token), desk.account.address if to is None else desk.account_of(to)
    money = Money.of(desk.reader, contract)
    units = money.read(amount)
    words = f"make {money.write(units)} for {desk.name(receiver)}"
    intent = f"mint/{contract.hex()}/{receiver.hex()}/{units}/{next_nonce(desk)}"
    desk.act([Step(words, intent, lambda w, i: w.mint(contract, receiver, units, intent=i))])


def show(window: Window, token: Token) -> None:
    """Show who of the members has how much of a token."""
    contract = window.account_of(token)
    money = Money.of(window.reader, contract)
    holders = [*ever_members(window), window.reader.address]
    balances = {account: window.reader.token_balance(contract, account) for account in holders}
    rows = [["account", "balance"]]
    rows += [[_who(window, account), money.write(units)] for account, units in balances.items()]
    data = {
        "token": f"0x{contract.hex()}",
        "symbol": money.symbol,
        "decimals": money.decimals,
        "supply": str(window.reader.token_supply(contract)),
        "balances": {f"0x{account.hex()}": str(units) for account, units in balances.items()},
    }
    window.show(Answer(data, table(rows)))


def _who(window: Window, account: bytes) -> str:
    return (
        "the ledger (escrow, unclaimed rewards)" if account == window.reader.address else window.name(account)
    )


def _units(cap: str) -> int:
    units = Money("tokens", DECIMALS).read(cap)
    if units == 0:
        raise InputError("The cap is zero.", fix="Give a cap of at least one unit.")
    return units
