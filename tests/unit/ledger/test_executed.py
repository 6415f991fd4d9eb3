"""Followers in one process execute a block once between them, and refuse what each alone would refuse."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import rlp

from ledger.chain.embedded import evm
from ledger.chain.embedded.block import WireBlock
from ledger.chain.embedded.executed import ExecutedBlocks
from ledger.chain.embedded.follower import Follower
from ledger.chain.embedded.source import FileSource
from ledger.errors import BlockRefused
from tests.unit.ledger.embedded_world import CHAIN_ID, history

BLOCKS = 6


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "ledger.sqlite"
    history(path, BLOCKS).chain.close()
    return path


@pytest.fixture
def executions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The times of the blocks that are really executed."""
    sealed: list[int] = []
    real = evm.seal
    monkeypatch.setattr(evm, "seal", lambda *args: sealed.append(args[3]) or real(*args))
    return sealed


def copies(tmp_path: Path, count: int, executed: ExecutedBlocks | None) -> list[Follower]:
    return [
        Follower(tmp_path / f"copy-{n}.sqlite", chain_id=CHAIN_ID, executed=executed) for n in range(count)
    ]


def rows(path: Path) -> list[tuple[bytes, bytes]]:
    return sorted(sqlite3.connect(path).execute("SELECT k, v FROM kv").fetchall())


def test_followers_that_share_execute_each_block_once_and_have_the_same_chain(
    chain: Path, tmp_path: Path, executions: list[int]
) -> None:
    followers = copies(tmp_path, 4, ExecutedBlocks())
    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda follower: follower.catch_up(FileSource(chain)), followers))
    for follower in followers:
        follower.close()
    assert taken == [BLOCKS + 1] * 4
    assert len(executions) == BLOCKS
    assert [rows(tmp_path / f"copy-{n}.sqlite") for n in range(4)] == [rows(chain)] * 4


def test_followers_that_do_not_share_execute_everything_themselves(
    chain: Path, tmp_path: Path, executions: list[int]
) -> None:
    for follower in copies(tmp_path, 2, None):
        follower.catch_up(FileSource(chain))
        follower.close()
    assert len(executions) == 2 * BLOCKS


def test_a_block_that_says_what_does_not_follow_is_refused_also_when_the_true_one_was_executed(
    chain: Path, tmp_path: Path
) -> None:
    honest, deceived = copies(tmp_path, 2, ExecutedBlocks())
    honest.catch_up(FileSource(chain))
    *before, last = FileSource(chain).blocks(0, 100)
    block = WireBlock.decode(last)
    forged = WireBlock(
        header=rlp.encode(block.parsed().copy(state_root=bytes(32))), transaction=block.transaction
    )
    for data in before:
        deceived.take(data)
    with pytest.raises(BlockRefused, match="state_root differs"):
        deceived.take(forged.encode())
    deceived.take(last)
    for follower in (honest, deceived):
        follower.close()


def test_another_time_parent_or_chain_is_another_block(chain: Path, executions: list[int]) -> None:
    executed = ExecutedBlocks()
    _, first, *_ = (WireBlock.decode(data) for data in FileSource(chain).blocks(0, 100))
    transaction = evm.decode_transaction(first.transaction, CHAIN_ID)
    header = first.parsed()
    genesis = evm.genesis_writes(evm.Genesis(chain_id=CHAIN_ID, timestamp=header.timestamp - 1))
    parent = genesis[evm.HEAD_KEY]
    asked = [
        (CHAIN_ID, parent, header.timestamp),
        (CHAIN_ID, parent, header.timestamp + 1),
        (CHAIN_ID, bytes(32), header.timestamp),
        (CHAIN_ID + 1, parent, header.timestamp),
    ]
    for chain_id, above, timestamp in asked * 2:
        executed.seal(genesis.get, chain_id, above, transaction, timestamp)
    assert len(executions) == len(asked)


def test_only_the_newest_results_are_kept(chain: Path, tmp_path: Path, executions: list[int]) -> None:
    first, second = copies(tmp_path, 2, ExecutedBlocks(kept=2))
    first.catch_up(FileSource(chain))
    second.catch_up(FileSource(chain))  # begins with blocks that are forgotten
    for follower in (first, second):
        follower.close()
    assert len(executions) == 2 * BLOCKS
