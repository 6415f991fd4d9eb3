"""The document that says who of the accepted set is left out of the sum and why. Its digest is on the ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from fl_core.codec import read_json
from fl_core.digests import Label, digest
from fl_core.errors import DecodeError
from fl_core.protocol.header import ascending_addresses
from fl_core.protocol.statements import ADDRESS_SIZE

MAX_EXCLUSIONS = 1 << 24  # bytes
FORMAT = "suture-exclusions-v1"


class Reason(Enum):
    """Why a contribution is left out."""

    WRONG_KEY = "wrong-key"
    """No secret that the members' shares could be of opens the check elements."""

    BAD_SHARES = "bad-shares"
    """The secret is right, but a member says that it holds no share of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """One contribution that is left out.

    Attributes:
        client: Its client's account.
        reason: Why.
        disputed_by: Members whose values do not fit, ascending; where it is open which of several do not, all of them.
            Empty for :attr:`Reason.WRONG_KEY`.
    """

    client: bytes
    reason: Reason
    disputed_by: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """The outcome of a share check.

    Attributes:
        excluded: Who is left out, ascending by client.
        unreliable: Members whose word does not count, ascending: they were in dispute with the most contributions, and
            with it too few would be left.
    """

    excluded: tuple[Exclusion, ...]
    unreliable: tuple[bytes, ...]

    def __post_init__(self) -> None:
        ascending_addresses(self.clients, "excluded clients")
        ascending_addresses(self.unreliable, "unreliable members")
        for exclusion in self.excluded:
            ascending_addresses(exclusion.disputed_by, "members in dispute")

    @property
    def clients(self) -> tuple[bytes, ...]:
        """The clients that are left out."""
        return tuple(exclusion.client for exclusion in self.excluded)

    @property
    def digest(self) -> bytes:
        """What the ledger records."""
        return digest(Label.EXCLUSIONS, self.encode())

    def encode(self) -> bytes:
        """Return the canonical document."""
        excluded = [
            {
                "client": exclusion.client.hex(),
                "disputed_by": [member.hex() for member in exclusion.disputed_by],
                "reason": exclusion.reason.value,
            }
            for exclusion in self.excluded
        ]
        values = {
            "excluded": excluded,
            "format": FORMAT,
            "unreliable": [member.hex() for member in self.unreliable],
        }
        return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the document.

        Raises:
            DecodeError: It is too long, not canonical JSON, lacks or adds a field, or breaks a rule.
        """
        values = read_json(data, limit=MAX_EXCLUSIONS, what="exclusions")
        try:
            if not isinstance(values, dict):
                raise TypeError("not an object")
            found = cls(
                excluded=tuple(_exclusion(entry) for entry in values["excluded"]),
                unreliable=tuple(_address(text) for text in values["unreliable"]),
            )
        except (ValueError, TypeError, KeyError) as error:
            raise DecodeError(f"exclusions: not a valid document ({type(error).__name__})") from error
        if found.encode() != data:
            raise DecodeError("exclusions: the document is not in its canonical form")
        return found


NO_EXCLUSIONS = Exclusions(excluded=(), unreliable=())
"""Everybody is included."""


def _exclusion(entry: Any) -> Exclusion:  # noqa: ANN401 - whatever JSON holds
    return Exclusion(
        client=_address(entry["client"]),
        reason=Reason(entry["reason"]),
        disputed_by=tuple(_address(text) for text in entry["disputed_by"]),
    )


def _address(text: str) -> bytes:
    address = bytes.fromhex(text)
    if len(address) != ADDRESS_SIZE:
        raise ValueError("an address has 20 bytes")
    return address
