"""A block has one encoding, of bounded size; a chain file gives its blocks in that form."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
import rlp

from fl_core.errors import DecodeError, InputError
from ledger.chain.embedded.block import (
    MAX_BLOCK,
    MAX_BLOCK_HEADER,
    WireBlock,
    read_stream,
    write_stream,
)
from ledger.chain.embedded.source import FileSource
from tests.unit.ledger.embedded_world import history


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ledger.sqlite"
    history(path, 6).chain.close()
    return path


@pytest.fixture(scope="module")
def blocks(chain: Path) -> list[bytes]:
    return list(FileSource(chain).blocks(0, 100))


def test_a_file_gives_every_block_and_each_survives_a_round_trip(blocks: list[bytes]) -> None:
    decoded = [WireBlock.decode(block) for block in blocks]
    assert [block.encode() for block in decoded] == blocks
    assert [block.parsed().block_number for block in decoded] == list(range(7))
    assert [block.parsed().parent_hash for block in decoded[1:]] == [block.hash for block in decoded[:-1]]
    assert [len(block.transaction) > 0 for block in decoded] == [False] + [True] * 6
    assert max(len(block.header) for block in decoded) < MAX_BLOCK_HEADER


def test_a_file_gives_at_most_as_many_blocks_as_were_asked_for(chain: Path, blocks: list[bytes]) -> None:
    source = FileSource(chain)
    assert list(source.blocks(2, 3)) == blocks[2:5]
    assert list(source.blocks(6, 3)) == list(source.blocks(6, 3)) == blocks[6:]
    assert list(source.blocks(7, 3)) == []


def test_a_file_waits_for_a_newer_block_and_no_longer_than_it_may(tmp_path: Path) -> None:
    world = history(tmp_path / "ledger.sqlite", 2)
    source = FileSource(world.path)
    started = time.monotonic()
    assert len(list(source.blocks(2, 9, wait_s=0.05))) == 1
    assert time.monotonic() - started >= 0.05
    timer = threading.Timer(0.05, world.emit, [3])
    timer.start()
    assert len(list(source.blocks(2, 9, wait_s=30))) == 2
    timer.join()
    world.chain.close()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        FileSource(tmp_path / "none.sqlite")


def test_a_block_that_is_cut_off_or_trailed_by_bytes_is_refused(blocks: list[bytes]) -> None:
    for size in range(0, len(blocks[1]), 7):
        with pytest.raises(DecodeError):
            WireBlock.decode(blocks[1][:size])
    with pytest.raises(DecodeError, match="trail"):
        WireBlock.decode(blocks[1] + b"\0")


def test_a_block_of_another_version_is_refused(blocks: list[bytes]) -> None:
    with pytest.raises(DecodeError, match="version 2"):
        WireBlock.decode(b"\0\2" + blocks[1][2:])


def test_a_block_that_is_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(DecodeError, match=f"at most {MAX_BLOCK} bytes"):
        WireBlock.decode(bytes(MAX_BLOCK + 1))
    with pytest.raises(DecodeError, match="at most 1024 bytes claims"):
        WireBlock.decode(b"\0\1" + (MAX_BLOCK_HEADER + 1).to_bytes(4, "big") + bytes(2000))


def test_only_block_0_has_no_transaction(blocks: list[bytes]) -> None:
    genesis, first = WireBlock.decode(blocks[0]), WireBlock.decode(blocks[1])
    for header, transaction in ((genesis.header, first.transaction), (first.header, b"")):
        with pytest.raises(DecodeError, match="block 0"):
            WireBlock.decode(WireBlock(header=header, transaction=transaction).encode())


@pytest.mark.parametrize("change", [lambda f: f[:-1], lambda f: [*f, b""], lambda f: [b"\0" + f[0], *f[1:]]])
def test_a_header_with_other_fields_is_refused(blocks: list[bytes], change) -> None:
    first = WireBlock.decode(blocks[1])
    header = rlp.encode(change(rlp.decode(first.header)))
    with pytest.raises(DecodeError, match="header"):
        WireBlock.decode(WireBlock(header=header, transaction=first.transaction).encode())


def test_a_header_that_is_no_rlp_is_refused(blocks: list[bytes]) -> None:
    first = WireBlock.decode(blocks[1])
    for header in (b"", b"\xff" * 40, first.header + b"\0", first.header[:-1]):
        with pytest.raises(DecodeError, match="header"):
            WireBlock.decode(WireBlock(header=header, transaction=first.transaction).encode())


def test_a_stream_gives_the_blocks_back_however_it_is_divided(blocks: list[bytes]) -> None:
    stream = b"".join(write_stream(blocks))
    assert list(read_stream(io.BytesIO(stream).read, len(blocks))) == blocks
    drops = io.BytesIO(stream)
    assert list(read_stream(lambda size: drops.read(min(size, 3)), len(blocks))) == blocks
    assert list(read_stream(io.BytesIO(b"").read, 5)) == []


def test_a_stream_with_more_blocks_than_asked_for_is_refused(blocks: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(write_stream(blocks)))
    with pytest.raises(DecodeError, match="more than 3"):
        list(read_stream(stream.read, 3))


def test_a_stream_that_claims_too_much_or_ends_early_is_refused(blocks: list[bytes]) -> None:
    with pytest.raises(DecodeError, match="claims"):
        list(read_stream(io.BytesIO((MAX_BLOCK + 1).to_bytes(4, "big")).read, 3))
    stream = b"".join(write_stream(blocks[:1]))
    for size in (1, 3, 5, len(stream) - 1):
        with pytest.raises(DecodeError, match="within a block"):
            list(read_stream(io.BytesIO(stream[:size]).read, 3))
