"""The round's arithmetic that every party must agree on: the committee, its threshold, the least number of contributions.

Source: ``docs/explanation/protocol.md``. With ``m`` members of whom ``c`` collude, two different included sets can both be
opened only if ``t <= (m + c) / 2``; ``t = floor(2m/3) + 1`` rules that out for every ``c < m/3`` and still lets
``m - t`` members be away.

In large cohorts the committee is drawn by the beacon, a block hash that comes after the registration of all keys: nobody can
make keys that get a seat. If at most a fifth of 1,000 clients collude, they hold a third of 64 seats with probability below
1 % and the two thirds that open a secret with probability below 2^-55 (hypergeometric tails;
``tests/unit/fl_core/protocol/test_rules.py`` computes them).
"""

from __future__ import annotations

from collections.abc import Iterable

from fl_core.digests import Label, digest

LEAST_INCLUDED = 3
"""A sum over fewer than three updates tells each of two clients the other's."""

WHOLE_COHORT_COMMITTEE = 16
"""Up to this many clients, every client is a member of the committee."""

SMALL_COHORT = 50
"""Up to this many clients, the committee has :data:`WHOLE_COHORT_COMMITTEE` members; beyond, :data:`LARGE_COMMITTEE`."""

LARGE_COMMITTEE = 64


def committee_size(clients: int) -> int:
    """Return the number of members for a cohort of ``clients``."""
    if clients <= SMALL_COHORT:
        return min(clients, WHOLE_COHORT_COMMITTEE)
    return min(clients, LARGE_COMMITTEE)


def committee_of(
    cohort: Iterable[bytes], *, run: bytes, round_number: int, beacon: bytes
) -> tuple[bytes, ...]:
    """Return the committee's accounts, ascending: those whose ticket is lowest.

    Args:
        cohort: Accounts of the clients.
        run: Run id.
        round_number: From 1.
        beacon: Hash of the beacon block.
    """
    clients = sorted(cohort)

    def ticket(account: bytes) -> bytes:
        return digest(Label.COMMITTEE, beacon, run, round_number.to_bytes(4, "big"), account)

    return tuple(sorted(sorted(clients, key=ticket)[: committee_size(len(clients))]))


def threshold_of(members: int) -> int:
    """Return the number of members whose answers open the aggregate key: floor(2m/3) + 1."""
    return 2 * members // 3 + 1


def least_n_min(clients: int) -> int:
    """Return the least acceptable ``n_min`` for a cohort: max(3, ceil(2n/3))."""
    return max(LEAST_INCLUDED, -(-2 * clients // 3))
