"""The round's arithmetic that every party must agree on: committee size, threshold, least number of contributions.

Source: ``docs/explanation/protocol.md``. With ``m`` members of whom ``c`` collude, two different included sets can both be
opened only if ``t <= (m + c) / 2``; ``t = floor(2m/3) + 1`` rules that out for every ``c < m/3`` and still lets
``m - t`` members be away.
"""

from __future__ import annotations

LEAST_INCLUDED = 3
"""A sum over fewer than three updates tells each of two clients the other's."""

WHOLE_COHORT_COMMITTEE = 16
"""Up to this many clients, every client is a member of the committee."""


def threshold_of(members: int) -> int:
    """Return the number of members whose answers open the aggregate key: floor(2m/3) + 1."""
    return 2 * members // 3 + 1


def least_n_min(clients: int) -> int:
    """Return the least acceptable ``n_min`` for a cohort: max(3, ceil(2n/3))."""
    return max(LEAST_INCLUDED, -(-2 * clients // 3))
