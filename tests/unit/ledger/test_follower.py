"""A follower executes every block itself, and refuses whatever does not continue its copy."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import rlp

from fl_core.errors import VerificationError
from ledger.chain.embedded import evm, replay
from ledger.chain.embedded.block import WireBlock
from ledger.chain.embedded.follower import Follower
from ledger.chain.embedded.source import FileSource
from ledger.chain.ports import Sent
from ledger.errors import BlockRefused, ChainBusy, HistoryRewritten, HistoryRolledBack, WrongChain
from tests.unit.ledger.embedded_world import CHAIN_ID, START, World, history

BLOCKS = 6


class ListSource:
    """Gives the blocks that it was given, whatever they are."""

    def __init__(self, blocks: list[bytes]) -> None:
        self.given = blocks
        self.asked: list[tuple[int, int]] = []

    def blocks(self, first: int, limit: int, *, wait_s: float = 0.0) -> Iterator[bytes]:
        self.asked.append((first, limit))
        return iter(self.given[first : first + limit])


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "ledger.sqlite"
    history(path, BLOCKS).chain.close()
    return path


@pytest.fixture(scope="module")
def blocks(chain: Path) -> list[bytes]:
    return list(FileSource(chain).blocks(0, 100))


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    opened = Follower(tmp_path / "copy.sqlite", chain_id=CHAIN_ID)
    yield opened
    opened.close()


def height(follower: Follower) -> int:
    return -1 if follower.chain is None else int(follower.chain.head().block_number)


def changed(block: bytes, **fields: object) -> bytes:
    """Return a block whose header has other fields, in good form."""
    decoded = WireBlock.decode(block)
    header = decoded.parsed().copy(**fields)
    return WireBlock(header=rlp.encode(header), transaction=decoded.transaction).encode()


def other_history(path: Path, keep: int, blocks: int) -> list[bytes]:
    """Return the blocks of an honestly executed chain that shares the first ``keep`` words with :func:`history`."""
    world = World(path)
    world.deploy()
    for word in range(1, blocks):
        world.emit(word if word < keep else 1000 + word)
    world.chain.close()
    return list(FileSource(path).blocks(0, 100))


# ---------------------------------------------------------------------------------------------------- what is taken


def test_a_follower_has_the_same_chain_bit_for_bit(chain: Path, follower: Follower, tmp_path: Path) -> None:
    assert follower.catch_up(FileSource(chain)) == BLOCKS + 1
    follower.close()
    rows = [
        sorted(sqlite3.connect(path).execute("SELECT k, v FROM kv").fetchall())
        for path in (chain, tmp_path / "copy.sqlite")
    ]
    assert rows[0] == rows[1]
    assert replay(tmp_path / "copy.sqlite", chain_id=CHAIN_ID) == replay(chain, chain_id=CHAIN_ID)


def test_only_what_is_new_is_taken_and_executed(
    chain: Path, blocks: list[bytes], follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed: list[int] = []
    real = evm.seal
    monkeypatch.setattr(
        "ledger.chain.embedded.follower.evm.seal", lambda *args: sealed.append(args[3]) or real(*args)
    )
    assert follower.catch_up(ListSource(blocks[:4])) == 4
    assert len(sealed) == 3  # block 0 is not executed
    assert follower.catch_up(ListSource(blocks)) == BLOCKS + 1 - 4
    assert follower.catch_up(ListSource(blocks)) == 0
    assert len(sealed) == BLOCKS


def test_a_follower_goes_on_where_it_stopped(blocks: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "copy.sqlite"
    for end in (1, 3, 5, BLOCKS + 1):
        follower = Follower(path, chain_id=CHAIN_ID)
        follower.catch_up(ListSource(blocks[:end]))
        assert height(follower) == end - 1
        follower.close()
    assert replay(path, chain_id=CHAIN_ID).head_number == BLOCKS


def test_many_blocks_are_asked_for_in_parts(
    blocks: list[bytes], follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.chain.embedded.follower.MAX_BLOCKS_ASKED", 3)
    source = ListSource(blocks)
    assert follower.catch_up(source) == BLOCKS + 1
    assert {limit for _, limit in source.asked} == {3}
    assert [first for first, _ in source.asked] == [0, 2, 4, 6]


def test_a_source_that_gives_more_than_asked_for_is_refused(
    blocks: list[bytes], follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.chain.embedded.follower.MAX_BLOCKS_ASKED", 3)
    source = ListSource(blocks)
    monkeypatch.setattr(source, "blocks", lambda first, limit: iter(blocks))
    with pytest.raises(BlockRefused, match="more blocks came"):
        follower.catch_up(source)


def test_two_followers_of_one_file_are_refused(follower: Follower, tmp_path: Path) -> None:
    with pytest.raises(ChainBusy):
        Follower(tmp_path / "copy.sqlite", chain_id=CHAIN_ID)


def test_a_copy_of_another_chain_is_refused(blocks: list[bytes], tmp_path: Path) -> None:
    follower = Follower(tmp_path / "copy.sqlite", chain_id=CHAIN_ID)
    follower.catch_up(ListSource(blocks))
    follower.close()
    with pytest.raises(WrongChain, match="is of chain"):
        Follower(tmp_path / "copy.sqlite", chain_id=CHAIN_ID + 1)


def test_threads_that_catch_up_at_once_take_each_block_once(blocks: list[bytes], follower: Follower) -> None:
    taken: list[int] = []
    threads = [
        threading.Thread(target=lambda: taken.append(follower.catch_up(ListSource(blocks)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [0, 0, 0, BLOCKS + 1]


# --------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("state_root", bytes(32)),
        ("receipt_root", bytes(32)),
        ("transaction_root", bytes(32)),
        ("gas_used", 1),
        ("gas_limit", 1),
        ("bloom", 1),
        ("coinbase", bytes([1]) * 20),
        ("extra_data", b"mine"),
        ("base_fee_per_gas", 1),
        ("nonce", bytes(7) + b"\1"),
        ("mix_hash", bytes([1]) * 32),
        ("difficulty", 1),
        ("withdrawals_root", bytes(32)),
    ],
)
def test_a_block_with_a_tampered_field_is_refused_and_leaves_nothing(
    blocks: list[bytes], follower: Follower, field: str, value: object
) -> None:
    follower.catch_up(ListSource(blocks[:3]))
    with pytest.raises(BlockRefused, match=r"follower check \(5\)") as caught:
        follower.take(changed(blocks[3], **{field: value}))
    assert caught.value.number == 3
    assert height(follower) == 2
    follower.take(blocks[3])


def test_a_block_with_a_time_before_its_parents_is_refused(blocks: list[bytes], follower: Follower) -> None:
    follower.catch_up(ListSource(blocks[:3]))
    with pytest.raises(BlockRefused, match=r"follower check \(5\)"):
        follower.take(changed(blocks[3], timestamp=START - 1))


def test_a_gap_and_a_block_that_is_there_already_are_refused(blocks: list[bytes], follower: Follower) -> None:
    with pytest.raises(BlockRefused, match=r"follower check \(2\): block 1 came"):
        follower.take(blocks[1])
    follower.catch_up(ListSource(blocks[:3]))
    for index in (0, 1, 2, 4):
        with pytest.raises(BlockRefused, match=rf"follower check \(2\): block {index} came"):
            follower.take(blocks[index])
    assert height(follower) == 2


def test_a_block_with_another_parent_is_refused(blocks: list[bytes], follower: Follower) -> None:
    follower.catch_up(ListSource(blocks[:3]))
    with pytest.raises(BlockRefused, match=r"follower check \(3\)"):
        follower.take(changed(blocks[3], parent_hash=bytes(32)))


def test_another_transaction_under_the_same_header_is_refused(
    blocks: list[bytes], follower: Follower
) -> None:
    follower.catch_up(ListSource(blocks[:3]))
    block = WireBlock.decode(blocks[3])
    other = WireBlock(header=block.header, transaction=WireBlock.decode(blocks[4]).transaction)
    with pytest.raises(BlockRefused, match=r"follower check \(5\)"):
        follower.take(other.encode())
    forged = WireBlock(header=block.header, transaction=b"\x02\xc0")
    with pytest.raises(BlockRefused, match=r"follower check \(4\)"):
        follower.take(forged.encode())


def test_a_transaction_for_another_chain_is_refused(blocks: list[bytes], tmp_path: Path) -> None:
    follower = Follower(tmp_path / "copy.sqlite", chain_id=CHAIN_ID + 1)
    follower.take(blocks[0])  # block 0 does not name its chain
    with pytest.raises(BlockRefused, match=r"follower check \(4\).*is for chain"):
        follower.take(blocks[1])
    follower.close()


def test_a_transaction_that_is_not_admitted_is_refused_before_it_is_executed(
    blocks: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def admit(sent: Sent) -> None:
        if sent.to is not None:
            raise VerificationError("it calls somebody")

    follower = Follower(tmp_path / "copy.sqlite", chain_id=CHAIN_ID, admit=admit)
    follower.take(blocks[0])
    follower.take(blocks[1])
    monkeypatch.setattr("ledger.chain.embedded.follower.evm.seal", lambda *_: pytest.fail("it was executed"))
    with pytest.raises(BlockRefused, match=r"follower check \(4\): it calls somebody"):
        follower.take(blocks[2])
    follower.close()


@pytest.mark.parametrize("fields", [{"extra_data": b""}, {"state_root": bytes(32)}, {"gas_limit": 5}])
def test_a_block_0_that_does_not_follow_from_chain_and_time_is_refused(
    blocks: list[bytes], follower: Follower, fields: dict[str, object]
) -> None:
    with pytest.raises(BlockRefused, match=r"follower check \(5\)"):
        follower.take(changed(blocks[0], **fields))
    assert follower.chain is None
    follower.take(blocks[0])


def test_bytes_that_are_no_block_are_refused(blocks: list[bytes], follower: Follower) -> None:
    for data in (b"", b"\0\1", blocks[0] + b"\0", blocks[0][:-1]):
        with pytest.raises(BlockRefused, match=r"follower check \(1\)"):
            follower.take(data)


# ------------------------------------------------------------------------------------------------ another history


@pytest.mark.parametrize("keep", [1, 3, 4])
@pytest.mark.parametrize("length", [BLOCKS, BLOCKS + 3])
def test_a_rewritten_history_is_refused_at_the_block_where_it_begins(
    blocks: list[bytes], follower: Follower, tmp_path: Path, keep: int, length: int
) -> None:
    follower.catch_up(ListSource(blocks))
    other = other_history(tmp_path / "other.sqlite", keep, length)
    with pytest.raises(HistoryRewritten) as caught:
        follower.catch_up(ListSource(other))
    assert caught.value.number == keep + 1
    assert (caught.value.ours, caught.value.theirs) == (blocks[keep + 1], other[keep + 1])
    assert caught.value.expected == WireBlock.decode(blocks[keep + 1]).hash
    assert caught.value.found == WireBlock.decode(other[keep + 1]).hash
    assert height(follower) == BLOCKS
    assert follower.catch_up(ListSource(blocks)) == 0  # the true source is still followed


def test_a_history_with_another_block_0_is_refused(
    blocks: list[bytes], follower: Follower, tmp_path: Path
) -> None:
    follower.catch_up(ListSource(blocks))
    world = World(tmp_path / "other.sqlite", start=START + 1)
    world.deploy()
    for word in range(1, BLOCKS):
        world.emit(word)
    world.chain.close()
    with pytest.raises(HistoryRewritten) as caught:
        follower.catch_up(FileSource(tmp_path / "other.sqlite"))
    assert caught.value.number == 0


@pytest.mark.parametrize("left", [0, 1, 2, BLOCKS])
def test_a_source_that_was_rolled_back_is_refused(blocks: list[bytes], follower: Follower, left: int) -> None:
    follower.catch_up(ListSource(blocks))
    with pytest.raises(HistoryRolledBack) as caught:
        follower.catch_up(ListSource(blocks[:left]))
    assert (caught.value.number, caught.value.newest) == (BLOCKS, left - 1)
    assert caught.value.ours == blocks[-1]
    assert height(follower) == BLOCKS
    assert follower.catch_up(ListSource(blocks)) == 0


def test_blocks_before_a_bad_one_are_kept(blocks: list[bytes], follower: Follower) -> None:
    bad = [*blocks[:4], changed(blocks[4], state_root=bytes(32)), *blocks[5:]]
    for _ in range(2):
        with pytest.raises(BlockRefused, match="Block 4 is refused"):
            follower.catch_up(ListSource(bad))
        assert height(follower) == 3
    follower.catch_up(ListSource(blocks))
    assert height(follower) == BLOCKS
