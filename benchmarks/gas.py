"""``python -m benchmarks.gas``: what a round costs on the chain, for 4 to 10,000 clients, beside one record per client.

Everything is executed on py-evm under the rules of Prague, each transaction in a block of its own. Large sets are real
numbers in the commitments; the count of consents is written into storage for them. The naive contract
(``tests/contracts/tokens/NaiveLedger.vy``) is executed up to :data:`EXECUTED` clients; beyond, its last client's cost is
multiplied, and the table says so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.contracts.engines import PyEvm
from tests.contracts.gas_snapshot import ROUND, rounds
from tests.contracts.harness import Contract, word
from tests.contracts.odd_tokens import compiled

SIZES = (4, 10, 100, 1_000, 10_000)
EXECUTED = 100


@dataclass(frozen=True, slots=True)
class Row:
    """A round with ``clients`` in its included set; gas.

    Attributes:
        clients: How many.
        parts: Gas of each of the four transactions, in their order.
        first: Gas of a run's first round.
        naive: Gas of one record per client.
        executed: Whether the naive figure was executed to the end, not extrapolated.
    """

    clients: int
    parts: tuple[int, ...]
    first: int
    naive: int
    executed: bool

    @property
    def total(self) -> int:
        """Gas of a round from the second on."""
        return sum(self.parts)


def naive(clients: int) -> tuple[int, bool]:
    """Return the gas of one record per client, and whether all of it was executed."""
    engine = PyEvm()
    ledger = Contract.deploy(engine, "kim", compiled("NaiveLedger"))
    total = last = 0
    for number in range(min(clients, EXECUTED)):
        ledger.call(f"client {number}", "contribute", word("run"), 1, word(f"contribution {number}"))
        last = ledger.last.gas_used
        total += last
    return total + last * (clients - min(clients, EXECUTED)), clients <= EXECUTED


def measure(sizes: Sequence[int] = SIZES) -> list[Row]:
    """Execute rounds of all sizes."""
    rows = []
    for clients in sizes:
        first, later = rounds(clients)
        gas, executed = naive(clients)
        rows.append(Row(clients, tuple(later[name] for name in ROUND), sum(first.values()), gas, executed))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the table for people."""
    names = [*ROUND, "a round", "first round", "one record each"]
    lines = [f"{'clients':>8}" + "".join(f"{name:>16}" for name in names)]
    for row in rows:
        figures = [*row.parts, row.total, row.first]
        mark = " " if row.executed else "*"
        lines.append(
            f"{row.clients:>8,}" + "".join(f"{gas:>16,}" for gas in figures) + f"{row.naive:>15,}{mark}"
        )
    lines.append(f"* {EXECUTED} clients executed, the rest multiplied. Gas; py-evm, Prague.")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure()))
    sys.exit(0)
