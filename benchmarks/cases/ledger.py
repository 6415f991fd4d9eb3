"""What the ledger costs: gas of a round and of a claim, the embedded chain and its followers, a real node where there is one.

Gas is exact. Times of work are processor times; opening is what one waits for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from benchmarks import embedded_chain
from benchmarks.gas import Row, measure
from benchmarks.measurement import Case, Measurement
from ledger.merkle import reward_leaf
from ledger.records import EMPTY_WORD
from ledger.typed_data import model_id
from tests.contracts.anvil_engine import OPTIONS, AnvilEngine
from tests.contracts.engines import PyEvm
from tests.contracts.harness import account, word
from tests.contracts.world import HOLDERS, World, rewards_of
from tests.simulators.anvil import Anvil, find_anvil

ROUND_GOAL, RATIO_GOAL = 500_000.0, 1.01
CLAIMED_ROUNDS = (1, 50)
TRANSACTIONS = 300
"""Token transfers on the real node."""

IDS = (
    "gas_per_round_10",
    "gas_per_round_10000",
    "gas_ratio_10000_10",
    "gas_first_round_10000",
    "gas_claim_after_50_rounds",
    "gas_claim_ratio_50_1",
    *embedded_chain.IDS,
    "anvil_transactions_per_s",
    "anvil_transaction_cpu_ms",
)


def run() -> Sequence[Measurement]:
    """Make one repeat; takes about three minutes."""
    return [*_rounds(), *_claims(), *embedded_chain.measure(), *_real_node()]


def _rounds() -> Sequence[Measurement]:
    rows = {row.clients: row for row in measure()}
    ten, many = rows[10], rows[10_000]
    return [_gas(f"gas_per_round_{row.clients}", row.total, row, goal=ROUND_GOAL) for row in (ten, many)] + [
        Measurement(
            id="gas_ratio_10000_10",
            value=max(many.total / ten.total, ten.total / many.total),
            unit="x",
            goal=RATIO_GOAL,
            detail={"gas": {str(row.clients): row.total for row in rows.values()}},
        ),
        _gas("gas_first_round_10000", many.first, many, goal=ROUND_GOAL),
    ]


def _gas(id: str, value: int, row: Row, goal: float) -> Measurement:
    return Measurement(
        id=id,
        value=value,
        unit="gas",
        goal=goal,
        peers={"one record per client": row.naive},
        detail={"transactions": row.parts, "peer_executed": row.executed},
    )


def _claims() -> Sequence[Measurement]:
    """One claim pays any number of rounds: its cost does not depend on them."""
    costs = {rounds: _claim_after(rounds) for rounds in CLAIMED_ROUNDS}
    few, many = (costs[rounds] for rounds in CLAIMED_ROUNDS)
    detail = {"gas": {str(rounds): cost for rounds, cost in costs.items()}, "accounts": len(HOLDERS)}
    return [
        Measurement(id="gas_claim_after_50_rounds", value=many, unit="gas", detail=detail),
        Measurement(id="gas_claim_ratio_50_1", value=many / few, unit="x", goal=RATIO_GOAL, detail=detail),
    ]


def _claim_after(rounds: int) -> int:
    world = World(PyEvm())
    run = world.ready_run()
    parent = model_id(run, 0, word("root"))
    for n in range(1, rounds + 1):
        sums = dict.fromkeys(HOLDERS, 100 * n)
        world.open(run, n, parent, cost=0)
        world.commit(run, n)
        world.include(run, n)
        root, artifact = rewards_of(run, sums).root, word(f"artifact {n}")
        world.call("kim", "finaliseRound", run, n, artifact, word("key"), EMPTY_WORD, root, 400)
        parent = model_id(run, n, artifact)
    leaf = reward_leaf(run, account("ada"), sums["ada"])
    world.call("anyone", "claim", run, rounds, account("ada"), sums["ada"], rewards_of(run, sums).proof(leaf))
    return world.ledger.last.gas_used


def _real_node() -> Sequence[Measurement]:
    """Time transfers on anvil; without it the figures are 0 and say why."""
    ids = ("anvil_transactions_per_s", "anvil_transaction_cpu_ms")
    if find_anvil() is None:
        why = {"absent": "anvil is not installed: npm ci --prefix .ci/tools --ignore-scripts"}
        units = ("1/s", "ms")
        return [
            Measurement(id=id, value=0.0, unit=unit, detail=why) for id, unit in zip(ids, units, strict=True)
        ]
    with Anvil(chain_id=OPTIONS["chain_id"], timestamp=OPTIONS["timestamp"]) as node:
        world = World(AnvilEngine(node))
        world.token.call("rosa", "mint", account("rosa"), TRANSACTIONS)
        wall, processor = time.perf_counter(), time.process_time()
        for number in range(1, TRANSACTIONS + 1):
            world.token.call("rosa", "transfer", number.to_bytes(20, "big"), 1)
        seconds, busy = time.perf_counter() - wall, time.process_time() - processor
    what = {
        "transactions": TRANSACTIONS,
        "what": "signed, sent, receipt, block and trace read; one after the other",
    }
    return [
        Measurement(id=ids[0], value=TRANSACTIONS / seconds, unit="1/s", detail=what, more_is_better=True),
        Measurement(
            id=ids[1], value=1000 * busy / TRANSACTIONS, unit="ms", detail={**what, "process": "the client's"}
        ),
    ]


CASE = Case(
    name="ledger",
    measures="The ledger: gas of rounds and claims, the embedded chain, its followers, a real node.",
    ids=IDS,
    run=run,
)
