"""Fees are read from signed bytes, raised by as much as nodes ask for, and never above the limit."""

from __future__ import annotations

import pytest

from fl_core.errors import DecodeError, InputError
from ledger.chain.ports import Fees
from ledger.fees import MAX_WEI_PER_GAS, VARIABLE, highest, limited, most_wei_per_gas, offer_of, raised
from tests.unit.ledger.embedded_world import account

GWEI = 10**9
CALL = {"chainId": 1, "nonce": 7, "gas": 90_000, "value": 0, "data": b"\x01" * 40, "to": "0x" + "11" * 20}


@pytest.mark.parametrize(
    "fees", [Fees(gas_price=0), Fees(gas_price=3 * GWEI), Fees(), Fees(max_fee=5 * GWEI, tip=2)]
)
def test_signed_bytes_tell_what_they_pay(fees: Fees) -> None:
    raw = account(0).sign_transaction({**CALL, **fees.fields()})
    offer = offer_of(raw)
    assert (offer.gas, offer.fees) == (90_000, fees)
    for wrong in (raw[:-1], raw + b"\x00", b"", b"\x01" + raw, b"\x02", b"\xc0"):
        with pytest.raises(DecodeError):
            offer_of(wrong)


def test_a_raised_fee_is_an_eighth_more_in_both_parts_and_as_much_as_is_wanted() -> None:
    old = Fees(max_fee=1001, tip=100)
    assert raised(old, Fees(max_fee=10, tip=1), 10**6) == Fees(max_fee=1127, tip=113)
    assert raised(old, Fees(max_fee=5000, tip=300), 10**6) == Fees(max_fee=5000, tip=300)
    assert raised(Fees(max_fee=8, tip=0), Fees(max_fee=8, tip=0), 10**6) == Fees(max_fee=9, tip=1)
    assert raised(Fees(gas_price=1000), Fees(gas_price=900), 10**6) == Fees(gas_price=1125)
    assert raised(Fees(gas_price=1000), Fees(gas_price=9000), 10**6) == Fees(gas_price=9000)
    assert raised(Fees(gas_price=1000), Fees(max_fee=50, tip=1), 10**6) == Fees(max_fee=1125, tip=1125)


@pytest.mark.parametrize("price", range(1, 200))
def test_no_rounding_makes_a_replacement_smaller_than_a_tenth(price: int) -> None:
    new = raised(Fees(max_fee=price, tip=price), Fees(), 10**6)
    assert new is not None and new.max_fee * 10 >= price * 11 and new.tip * 10 >= price * 11


def test_free_gas_stays_free_and_the_limit_holds() -> None:
    assert raised(Fees(), Fees(), 10**6) is None
    assert raised(Fees(gas_price=0), Fees(gas_price=0), 10**6) is None
    assert raised(Fees(), Fees(max_fee=100, tip=1), 10**6) == Fees(max_fee=100, tip=1)
    old = Fees(max_fee=1000, tip=100)
    assert raised(old, Fees(max_fee=9000, tip=100), 1125) == Fees(max_fee=1125, tip=113)
    assert raised(old, Fees(max_fee=9000, tip=100), 1124) is None
    assert limited(Fees(max_fee=1000, tip=100), 50) == Fees(max_fee=50, tip=50)
    assert highest(limited(Fees(gas_price=1000), 999)) == 999


def test_the_limit_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert most_wei_per_gas() == MAX_WEI_PER_GAS
    monkeypatch.setenv(VARIABLE, "30000000000")
    assert most_wei_per_gas() == 30 * GWEI
    for wrong in ("30 gwei", "-1", "1e9", "9" * 31, "²"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(InputError, match="number of wei"):
            most_wei_per_gas()
