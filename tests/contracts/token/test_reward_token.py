"""``RewardToken``: a plain ERC-20 token with one minter and a cap."""

from functools import partial

import pytest

from ledger.artifacts import load
from ledger.records import EMPTY_ADDRESS
from tests.contracts.engines import quick_engine
from tests.contracts.harness import Contract, account
from tests.contracts.harness import refused as refused_by

refused = partial(refused_by, contract="reward_token")
CAP = 1_000


@pytest.fixture
def token() -> Contract:
    """A token with a cap of 1,000 of which ada has 100."""
    token = Contract.deploy(quick_engine(), "rosa", load("RewardToken"), account("rosa"), CAP)
    token.call("rosa", "mint", account("ada"), 100)
    return token


def balances(token: Contract) -> tuple[int, int, int]:
    return (
        token.view("balanceOf", account("ada")),
        token.view("balanceOf", account("ben")),
        token.view("totalSupply"),
    )


def test_the_constructor_fixes_minter_and_cap(token: Contract) -> None:
    assert token.view("MINTER") == account("rosa")
    assert token.view("CAP") == CAP
    assert (token.view("name"), token.view("symbol"), token.view("decimals")) == ("Suture Credit", "SUTC", 18)


@pytest.mark.parametrize(
    ("minter", "cap", "rule"),
    [(EMPTY_ADDRESS, CAP, "minter is the zero address"), (account("rosa"), 0, "cap is zero")],
)
def test_a_token_without_minter_or_cap_is_refused(minter: bytes, cap: int, rule: str) -> None:
    with refused(rule):
        Contract.deploy(quick_engine(), "rosa", load("RewardToken"), minter, cap)


def test_transfer_moves_tokens(token: Contract) -> None:
    assert token.call("ada", "transfer", account("ben"), 60) is True
    assert token.events()[0].values == {"sender": account("ada"), "receiver": account("ben"), "value": 60}
    assert balances(token) == (40, 60, 100)


def test_transfer_needs_the_balance(token: Contract) -> None:
    with refused("amount exceeds the balance"):
        token.call("ada", "transfer", account("ben"), 101)


def test_a_transfer_to_oneself_changes_nothing(token: Contract) -> None:
    token.call("ada", "transfer", account("ada"), 100)
    assert balances(token) == (100, 0, 100)


def test_tokens_are_not_sent_where_they_would_be_lost(token: Contract) -> None:
    for receiver in (EMPTY_ADDRESS, token.address):
        with refused("receiver cannot hold tokens"):
            token.call("ada", "transfer", receiver, 1)
        with refused("receiver cannot hold tokens"):
            token.call("rosa", "mint", receiver, 1)


def test_transfer_from_uses_the_allowance(token: Contract) -> None:
    assert token.call("ada", "approve", account("kim"), 70) is True
    assert token.events()[0].values == {"owner": account("ada"), "spender": account("kim"), "value": 70}
    assert token.call("kim", "transferFrom", account("ada"), account("ben"), 50) is True
    approval, transfer = token.events()
    assert (approval.name, transfer.name) == ("Approval", "Transfer")
    assert approval.values == {"owner": account("ada"), "spender": account("kim"), "value": 20}
    assert transfer.values == {"sender": account("ada"), "receiver": account("ben"), "value": 50}
    assert token.view("allowance", account("ada"), account("kim")) == 20
    assert balances(token) == (50, 50, 100)


def test_transfer_from_needs_allowance_and_balance(token: Contract) -> None:
    token.call("ada", "approve", account("kim"), 200)
    with refused("amount exceeds the allowance"):
        token.call("kim", "transferFrom", account("ada"), account("ben"), 201)
    with refused("amount exceeds the balance"):
        token.call("kim", "transferFrom", account("ada"), account("ben"), 150)
    with refused("amount exceeds the allowance"):
        token.call("ben", "transferFrom", account("ada"), account("ben"), 1)


def test_the_minter_issues_up_to_the_cap(token: Contract) -> None:
    token.call("rosa", "mint", account("ben"), CAP - 100)
    assert token.events()[0].values == {
        "sender": EMPTY_ADDRESS,
        "receiver": account("ben"),
        "value": CAP - 100,
    }
    assert balances(token) == (100, CAP - 100, CAP)
    with refused("supply would exceed the cap"):
        token.call("rosa", "mint", account("ben"), 1)


def test_nobody_else_issues(token: Contract) -> None:
    with refused("caller is not the minter"):
        token.call("ada", "mint", account("ada"), 1)


def test_a_holder_burns_its_own_tokens(token: Contract) -> None:
    token.call("ada", "burn", 30)
    assert token.events()[0].values == {"sender": account("ada"), "receiver": EMPTY_ADDRESS, "value": 30}
    assert balances(token) == (70, 0, 70)
    with refused("amount exceeds the balance"):
        token.call("ada", "burn", 71)
    token.call("ada", "burn", 70)
    assert balances(token) == (0, 0, 0)
