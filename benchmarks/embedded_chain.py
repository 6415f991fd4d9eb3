"""What the embedded chain costs: a transaction, a block that a follower takes, and opening however long a chain.

The chain holds transfers of the reward token. Times of work are processor times; opening is what one waits for.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from eth_utils.address import to_checksum_address

from benchmarks.measurement import Measurement
from fl_core.secret import Secret
from ledger.artifacts import load
from ledger.chain.abi import interface
from ledger.chain.embedded import open_embedded
from ledger.chain.embedded.follower import Follower
from ledger.chain.embedded.source import FileSource
from ledger.creation import contract_address
from ledger.signer import KeySigner

CHAIN_ID = 20_263
SHORT, MIDDLE, LONG = 50, 500, 5_000
"""Blocks of the chains that are opened."""
OPENINGS = 20
OPEN_GOAL_MS = 100.0
BLOCK_GOAL_MS = 6.6
"""3.3 seconds for 500 blocks."""

IDS = (
    "embedded_open_5000_ms",
    "embedded_open_ratio_5000_50",
    "embedded_transactions_per_s",
    "embedded_transaction_cpu_ms",
    "follower_block_cpu_ms",
    "follower_open_5000_ms",
)


def measure() -> Sequence[Measurement]:
    """Make one repeat; takes about two minutes. The figures are :data:`IDS`, in this order."""
    with tempfile.TemporaryDirectory(prefix="suture-bench-") as name:
        folder = Path(name)
        short, middle, long = (folder / f"{blocks}.sqlite" for blocks in (SHORT, MIDDLE, LONG))
        _write(short, SHORT)
        _write(middle, MIDDLE)
        transaction, wall = _write(long, LONG)
        follow = {path: _follow(path, path.with_suffix(".copy")) for path in (short, long)}
        opened = {path: _best(partial(_open, path)) for path in (short, middle, long)}
        copied = _best(partial(_follow, long, long.with_suffix(".copy")))
    return [
        Measurement(
            id="embedded_open_5000_ms",
            value=opened[long],
            unit="ms",
            goal=OPEN_GOAL_MS,
            peers={f"chain of {SHORT} blocks": opened[short], f"chain of {MIDDLE} blocks": opened[middle]},
            detail={"blocks": LONG, "best_of": OPENINGS},
        ),
        Measurement(
            id="embedded_open_ratio_5000_50",
            value=opened[long] / opened[short],
            unit="x",
            detail={"blocks": [SHORT, LONG], "best_of": OPENINGS},
        ),
        Measurement(
            id="embedded_transactions_per_s",
            value=1000 / wall,
            unit="1/s",
            detail={
                "transactions": LONG,
                "what": "token transfers one after the other, each on disk when it is done",
            },
            more_is_better=True,
        ),
        Measurement(
            id="embedded_transaction_cpu_ms",
            value=transaction,
            unit="ms",
            detail={"transactions": LONG, "what": "token transfers, sealed and written"},
        ),
        Measurement(
            id="follower_block_cpu_ms",
            value=follow[long] / LONG,
            unit="ms",
            goal=BLOCK_GOAL_MS,
            peers={"the author's transaction": transaction},
            detail={"blocks": LONG},
        ),
        Measurement(
            id="follower_open_5000_ms",
            value=copied,
            unit="ms",
            detail={"blocks": LONG, "best_of": OPENINGS, "what": "open the copy, compare its newest block"},
        ),
    ]


def _write(path: Path, blocks: int) -> tuple[float, float]:
    """Make a chain; return the processor time and the wall time of a transaction in milliseconds."""
    key, artifact, token = KeySigner(Secret(b"\x11" * 32)), load("RewardToken"), interface("RewardToken")
    cap = 10**9
    arguments = key.address.rjust(32, b"\0") + cap.to_bytes(32, "big")
    contract = contract_address(key.address, 0)
    transfer = token.function("transfer")
    payloads: list[tuple[bytes | None, bytes]] = [(None, artifact.bytecode + arguments)]
    payloads.append((contract, token.function("mint").call_data(key.address, cap)))
    payloads += [
        (contract, transfer.call_data(number.to_bytes(20, "big"), 1)) for number in range(1, blocks - 1)
    ]
    now = 1_700_000_000
    signed = [_signed(key, nonce, to, data) for nonce, (to, data) in enumerate(payloads)]
    with open_embedded(path, chain_id=CHAIN_ID, clock=lambda: now) as chain:
        started, wall = time.process_time(), time.perf_counter()
        for raw in signed:
            chain.submit(raw)
        seconds = time.process_time() - started, time.perf_counter() - wall
    return 1000 * seconds[0] / blocks, 1000 * seconds[1] / blocks


def _signed(key: KeySigner, nonce: int, to: bytes | None, data: bytes) -> bytes:
    fields: dict[str, object] = {
        "nonce": nonce,
        "gas": 3_000_000,
        "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0,
        "chainId": CHAIN_ID,
        "value": 0,
        "data": data,
    }
    return key.sign_transaction(fields if to is None else fields | {"to": to_checksum_address(to)})


def _open(path: Path) -> None:
    with open_embedded(path, chain_id=CHAIN_ID, read_only=True) as chain:
        chain.head()


def _follow(path: Path, copy: Path) -> float:
    """Bring a copy up to date; return the processor time in milliseconds."""
    started = time.process_time()
    source, follower = FileSource(path), Follower(copy, chain_id=CHAIN_ID)
    follower.catch_up(source)
    follower.close()
    source.close()
    return 1000 * (time.process_time() - started)


def _best(action: Callable[[], object]) -> float:
    """Return the shortest time of an action in milliseconds."""
    times = []
    for _ in range(OPENINGS):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return 1000 * min(times)
