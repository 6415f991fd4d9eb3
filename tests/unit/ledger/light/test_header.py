"""A block's hash follows from its fields, at every fork; a field that is wrong gives another hash or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fl_core.errors import DecodeError
from ledger.chain.jsonrpc import Json, data
from ledger.light.header import MAX_EXTRA_BYTES, Header
from ledger.light.qbft import block_hash
from tests.simulators.anvil import Anvil
from tests.unit.ledger.embedded_world import history

VECTORS = Path(__file__).resolve().parents[3] / "vectors" / "ledger" / "mainnet_headers.json"
BLOCKS: list[Json] = json.loads(VECTORS.read_text())["blocks"]


@pytest.mark.parametrize(("block", "fields"), list(zip(BLOCKS, (15, 16, 17, 20), strict=True)))
def test_headers_of_mainnet_have_the_hashes_that_everybody_knows(block: Json, fields: int) -> None:
    header = Header.of(block)
    assert len(header.fields) == fields
    assert data(block_hash(header)) == block["hash"]
    assert data(header.parent) == block["parentHash"]
    assert data(header.state_root) == block["stateRoot"]
    assert (hex(header.number), hex(header.timestamp)) == (block["number"], block["timestamp"])
    assert not header.bft


def test_blocks_of_the_embedded_chain_have_their_hashes(tmp_path: Path) -> None:
    world = history(tmp_path / "ledger.sqlite", 3)
    for number in range(4):
        block = world.ask("eth_getBlockByNumber", hex(number), False)
        assert data(block_hash(Header.of(block))) == block["hash"]


@pytest.mark.anvil
@pytest.mark.network
@pytest.mark.parametrize(
    ("fork", "fields"),
    [("berlin", 15), ("london", 16), ("shanghai", 17), ("cancun", 20), ("prague", 21), ("osaka", 21)],
)
def test_blocks_of_a_real_node_have_their_hashes_at_every_fork(fork: str, fields: int) -> None:
    with Anvil(hardfork=fork) as node:
        node.mine(2)
        block = node.ask("eth_getBlockByNumber", "latest", False)
        header = Header.of(block)
        assert len(header.fields) == fields
        assert data(block_hash(header)) == block["hash"]


NEWEST = BLOCKS[-1]


@pytest.mark.parametrize("name", [name for name in NEWEST if name != "hash"])
def test_every_field_is_in_the_hash(name: str) -> None:
    text = str(NEWEST[name])
    changed = text[:-1] + ("0" if text[-1] != "0" else "1")
    assert data(block_hash(Header.of({**NEWEST, name: changed}))) != NEWEST["hash"]
    without = {key: value for key, value in NEWEST.items() if key != name}
    try:
        assert data(block_hash(Header.of(without))) != NEWEST["hash"]
    except DecodeError:
        pass  # one of the fifteen that every header has


MALFORMED = {
    "a short parent": {"parentHash": "0x11"},
    "a state root that is a number": {"stateRoot": 5},
    "a height with a sign": {"number": "-0x1"},
    "a height of 257 bits": {"number": "0x1" + "00" * 32},
    "extra data of odd length": {"extraData": "0x123"},
    "extra data without end": {"extraData": "0x" + "00" * (MAX_EXTRA_BYTES + 1)},
    "a base fee that is a word": {"baseFeePerGas": "many"},
    "a nonce of 7 bytes": {"nonce": "0x" + "00" * 7},
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_header_is_refused(change: Json) -> None:
    with pytest.raises(DecodeError):
        Header.of({**NEWEST, **change})
