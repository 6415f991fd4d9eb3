"""The opened weights of one round as a machine without I/O: whom to ask, what was opened, what the reward is divided by.

It exists only under terms that pay by examples, and only once the sum is open; see :mod:`fl_core.protocol.weights`.
"""

from __future__ import annotations

from collections.abc import Mapping

from fl_core.errors import VerificationError
from fl_core.protocol.coordinator import Accepted
from fl_core.protocol.header import RoundHeader
from fl_core.protocol.weights import (
    WeightOpening,
    WeightRequest,
    verify_weight_opening,
    verify_weight_sum,
)


class WeightMachine:
    """The weights of one round.

    Args:
        header: The round.
        included: The included contributions, ascending by client.
        weight_units: The sum of weights that the aggregate opened.
    """

    def __init__(self, header: RoundHeader, *, included: tuple[Accepted, ...], weight_units: int) -> None:
        self._header = header
        self._included = {accepted.leaf.statement.member: accepted for accepted in included}
        self._weight_units = weight_units
        self._openings: dict[bytes, WeightOpening] = {}

    @property
    def clients(self) -> tuple[bytes, ...]:
        """Who is asked, ascending."""
        return tuple(self._included)

    @property
    def openings(self) -> Mapping[bytes, WeightOpening]:
        """The checked openings by account."""
        return self._openings

    def request(self) -> WeightRequest:
        """Return what every included client is asked."""
        return WeightRequest(
            header=self._header.digest,
            included=tuple((member, accepted.digest) for member, accepted in self._included.items()),
        )

    def add(self, data: bytes) -> WeightOpening:
        """Take an opening; the same one again is no error, and there can be no other of the same client.

        Raises:
            DecodeError: It is malformed.
            VerificationError: It is of nobody in the included set, or a check failed; nothing changed.
        """
        opening = WeightOpening.decode(data)
        accepted = self._included.get(opening.member)
        if accepted is None:
            raise VerificationError(
                "a weight of nobody in the included set was opened", party=opening.member.hex()
            )
        verify_weight_opening(self._header, opening, accepted.leaf)
        self._openings[opening.member] = opening
        return opening

    @property
    def weights(self) -> dict[bytes, int]:
        """Account -> opened weight."""
        return {member: opening.units for member, opening in sorted(self._openings.items())}

    def fit(self) -> bool:
        """Return whether the opened weights can be those of the sum."""
        try:
            verify_weight_sum(
                self._header,
                self.weights,
                included_count=len(self._included),
                weight_units=self._weight_units,
            )
        except VerificationError:
            return False
        return True
