"""Archived JSON documents of a round that the ledger holds a digest of: metrics and rewards.

Both are canonical, so the auditor makes the same bytes again from what it recomputed and compares.
"""

from __future__ import annotations

import json
from typing import Any

from fl_core.codec import read_json
from fl_core.errors import DecodeError
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.opening import Aggregate
from fl_core.protocol.statements import ADDRESS_SIZE

MAX_DOCUMENT = 1 << 24  # bytes
SALT_FIELD = "salt"


def encode_metrics(header: RoundHeader, aggregate: Aggregate, salt: bytes) -> bytes:
    """Return the metrics document of a round: counts and sums, salted so that its digest cannot be guessed."""
    values = {
        "format": "suture-metrics-v1",
        "round": header.round,
        "contributions": aggregate.count,
        "weight_units": aggregate.weight_units,
        "counters": dict(zip(header.counters, aggregate.counters, strict=True)),
        "aggregate": aggregate.digest.hex(),
        "failed_elements": list(aggregate.failed),
        SALT_FIELD: salt.hex(),
    }
    return _canonical(values)


def metrics_salt(document: bytes) -> bytes:
    """Return the salt of a metrics document.

    Raises:
        DecodeError: It has none.
    """
    try:
        return bytes.fromhex(_parse(document)[SALT_FIELD])
    except (ValueError, TypeError, KeyError) as error:
        raise DecodeError("metrics: the document has no salt") from error


def metrics_weight(document: bytes) -> int:
    """Return the sum of weights in a metrics document.

    Raises:
        DecodeError: It has none.
    """
    weight = _parse(document).get("weight_units")
    if type(weight) is not int:
        raise DecodeError("metrics: the document has no sum of weights")
    return weight


def encode_rewards(run: bytes, cumulative: dict[bytes, int]) -> bytes:
    """Return the rewards document: account -> sum earned in the run so far, as decimal strings."""
    earned = {account.hex(): str(amount) for account, amount in sorted(cumulative.items())}
    return _canonical({"format": "suture-rewards-v1", "run": run.hex(), "earned": earned})


def decode_rewards(document: bytes) -> dict[bytes, int]:
    """Read a rewards document.

    Raises:
        DecodeError: It is malformed or not canonical.
    """
    try:
        values = _parse(document)
        cumulative = {bytes.fromhex(account): _amount(amount) for account, amount in values["earned"].items()}
        if any(len(account) != ADDRESS_SIZE or amount < 0 for account, amount in cumulative.items()):
            raise ValueError("an account has 20 bytes, an amount is not negative")
        again = encode_rewards(bytes.fromhex(values["run"]), cumulative)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DecodeError("rewards: not a valid document") from error
    if again != document:
        raise DecodeError("rewards: the document is not in its canonical form")
    return cumulative


def _amount(text: object) -> int:
    if not isinstance(text, str):  # of a number, int() would cut off digits, or fail in ways of its own
        raise TypeError("an amount is a decimal string")
    return int(text)


def _canonical(values: dict[str, object]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _parse(document: bytes) -> dict[str, Any]:
    values = read_json(document, limit=MAX_DOCUMENT, what="document")
    if not isinstance(values, dict):
        raise DecodeError("document: not a JSON object")
    return values
