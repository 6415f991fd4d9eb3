"""What is offered for a unit of gas: read from signed bytes, kept below a limit, raised when a chain asks for more.

A transaction is replaced by one with the same nonce that pays more. Nodes take it when both the most that it pays and its tip are
a tenth above those that they hold (geth and Besu, by default; erigon too), and strictly more; an eighth, rounded up, is enough.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import cast

import rlp

from fl_core.errors import DecodeError, InputError
from ledger.chain.ports import Fees

VARIABLE = "SUTURE_MAX_WEI_PER_GAS"
MAX_WEI_PER_GAS = 500 * 10**9
"""Most that is ever offered, unless the environment says otherwise: 500 gwei."""
_FEE_MARKET = 2  # EIP-1559's number among transaction types (EIP-2718)
_MARKET_FIELDS, _LEGACY_FIELDS = 12, 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a signed transaction pays at most.

    Attributes:
        gas: Its gas limit.
        fees: For each unit.
    """

    gas: int
    fees: Fees


def most_wei_per_gas() -> int:
    """Return the limit of what is offered, in wei: the environment's, or :data:`MAX_WEI_PER_GAS`.

    Raises:
        InputError: The variable is not a number.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return MAX_WEI_PER_GAS
    if not (text.isascii() and text.isdigit() and len(text) <= 30):
        raise InputError(
            f"{VARIABLE}={text!r} is no number of wei.", fix="Write digits only, such as 30000000000."
        )
    return int(text)


def highest(fees: Fees) -> int:
    """Return the most that fees pay for a unit of gas, in wei."""
    return fees.max_fee if fees.gas_price is None else fees.gas_price


def limited(fees: Fees, most: int) -> Fees:
    """Return fees, or as much of them as a limit allows."""
    if fees.gas_price is not None:
        return Fees(gas_price=min(fees.gas_price, most))
    return Fees(max_fee=min(fees.max_fee, most), tip=min(fees.tip, most))


def raised(offered: Fees, wanted: Fees, most: int) -> Fees | None:
    """Return fees that replace those of a transaction that waits.

    Args:
        offered: What it pays.
        wanted: What the chain asks of a new one.
        most: The limit, wei for a unit of gas.

    Returns:
        At least an eighth more than ``offered``, as much as is wanted within the limit. None where gas is free, or where the
        limit leaves no room.
    """
    if highest(offered) == highest(wanted) == 0:
        return None
    least = _more(highest(offered))
    if least > most:
        return None
    if wanted.gas_price is not None:
        return limited(Fees(gas_price=max(least, wanted.gas_price)), most)
    tip = offered.tip if offered.gas_price is None else offered.gas_price  # a plain price is both (EIP-1559)
    new = Fees(max_fee=max(least, wanted.max_fee), tip=max(_more(tip), wanted.tip))
    new = limited(replace(new, max_fee=max(new.max_fee, new.tip)), most)
    return new if new.tip >= _more(tip) else None


def offer_of(raw: bytes) -> Offer:
    """Return what signed bytes pay.

    Raises:
        DecodeError: They are neither a plain transaction nor one of EIP-1559.
    """
    market = raw[:1] == bytes([_FEE_MARKET])
    try:
        items = cast(list[bytes], rlp.decode(raw[1:] if market else raw))
        if len(items) != (_MARKET_FIELDS if market else _LEGACY_FIELDS):
            raise DecodeError("a signed transaction has another number of fields")
        if market:
            _, _, tip, most, gas = (int.from_bytes(item, "big") for item in items[:5])
            return Offer(gas=gas, fees=Fees(max_fee=most, tip=tip))
        _, price, gas = (int.from_bytes(item, "big") for item in items[:3])
    except (rlp.exceptions.DecodingError, TypeError, ValueError) as error:
        raise DecodeError("a signed transaction cannot be read") from error
    return Offer(gas=gas, fees=Fees(gas_price=price))


def _more(wei: int) -> int:
    """Return an eighth more, rounded up, and at least one wei more."""
    return max(-(-wei * 9 // 8), wei + 1)
