"""The embedded chain executes what Ethereum would, refuses what it would not, and loses nothing on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from fl_core.errors import InputError
from ledger.chain.embedded import evm, open_embedded
from ledger.chain.jsonrpc import data, to_bytes, to_int
from tests.unit.ledger.embedded_world import CHAIN_ID, RUNTIME, START, World, account, history

WORD_5 = (5).to_bytes(32, "big")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return history(tmp_path / "ledger.sqlite", 3)


def test_a_transaction_is_a_block_with_its_log_and_its_state(world: World) -> None:
    tx_hash = world.emit(5)
    receipt = world.ask("eth_getTransactionReceipt", data(tx_hash))
    assert receipt["status"] == "0x1"
    assert to_int(receipt["blockNumber"]) == 4
    assert [(log["data"], log["topics"]) for log in receipt["logs"]] == [
        (data(WORD_5), [data((7).to_bytes(32, "big"))])
    ]
    assert world.ask("eth_getStorageAt", data(world.contract), "0x0", "latest") == data(WORD_5)
    assert world.ask("eth_getCode", data(world.contract), "latest") == data(RUNTIME)


def test_the_receipts_of_a_block_are_those_of_its_transactions(world: World) -> None:
    receipt = world.ask("eth_getTransactionReceipt", data(world.emit(0)))
    assert world.ask("eth_getBlockReceipts", receipt["blockNumber"]) == [receipt]
    assert world.ask("eth_getBlockReceipts", "0x0") == []
    assert world.ask("eth_getBlockReceipts", "0xffff") is None


def test_a_reverted_transaction_is_in_a_block_and_changes_only_the_nonce(world: World) -> None:
    before = world.ask("eth_getStorageAt", data(world.contract), "0x0", "latest")
    nonce = world.nonce()
    receipt = world.ask("eth_getTransactionReceipt", data(world.emit(0)))
    assert receipt["status"] == "0x0"
    assert receipt["logs"] == []
    assert world.ask("eth_getStorageAt", data(world.contract), "0x0", "latest") == before
    assert world.nonce() == nonce + 1


def test_old_states_stay_readable(world: World) -> None:
    world.emit(9)
    values = [
        to_int(world.ask("eth_getStorageAt", data(world.contract), "0x0", hex(height)))
        for height in (1, 2, 3, 4)
    ]
    assert values == [0, 1, 2, 9]


def test_block_times_follow_the_clock_and_always_grow(world: World) -> None:
    world.now = START + 1000
    world.emit(1)
    assert world.chain.head().timestamp == START + 1000
    world.emit(2)
    assert world.chain.head().timestamp == START + 1001
    world.now = START
    world.emit(3)
    assert world.chain.head().timestamp == START + 1002


def test_gas_stays_free(world: World) -> None:
    assert world.ask("eth_gasPrice") == "0x0"
    assert {world.chain.header(n).base_fee_per_gas for n in range(4)} == {0}
    with pytest.raises(evm.InvalidTransaction, match="at most 30000000"):
        world.chain.submit(world.sign(world.contract, WORD_5, gas=30_000_001))
    world.chain.submit(world.sign(world.contract, WORD_5, gas=30_000_000))


REFUSED = {
    "signed for another chain": ({"chainId": CHAIN_ID + 1}, "for chain 4243"),
    "its nonce was used": ({"nonce": 0}, "nonce"),
    "its nonce leaves a gap": ({"nonce": 99}, "nonce"),
    "it offers fees that nobody can pay": ({"maxFeePerGas": 1, "maxPriorityFeePerGas": 1}, "afford"),
    "it sends ether that nobody has": ({"value": 1}, "balance"),
    "its gas does not cover the call data": ({"gas": 21_000}, "gas"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_transaction_is_refused_and_nothing_changes_when(
    world: World, changes: dict[str, int], message: str
) -> None:
    nonce = changes.pop("nonce", None)
    raw = world.sign(world.contract, WORD_5, nonce=nonce, **changes)
    before = world.chain.head().hash
    with pytest.raises(evm.InvalidTransaction, match=message):
        world.chain.submit(raw)
    assert world.chain.head().hash == before
    world.emit(5)


def test_a_transaction_without_replay_protection_is_refused(world: World) -> None:
    from eth.vm.forks import ShanghaiVM
    from eth_keys.datatypes import PrivateKey

    builder = ShanghaiVM.get_transaction_builder()
    unsigned = builder.create_unsigned_transaction(
        nonce=0, gas_price=0, gas=100_000, to=world.contract, value=0, data=WORD_5
    )
    for chain_id, accepted in ((None, False), (CHAIN_ID, True)):
        raw = unsigned.as_signed_transaction(PrivateKey(keccak(b"legacy")), chain_id=chain_id).encode()
        if accepted:
            world.chain.submit(raw)
        else:
            with pytest.raises(evm.InvalidTransaction, match="for chain None"):
                world.chain.submit(raw)


def test_malformed_transactions_are_refused(world: World) -> None:
    raw = world.sign(world.contract, WORD_5)
    broken = [
        b"",
        b"\x02",
        raw[:-1],
        raw + b"\x00",
        b"\x05" + raw[1:],
        b"\xc0",
        bytes(evm.MAX_TRANSACTION_BYTES + 1),
    ]
    for attempt in broken:
        with pytest.raises(evm.InvalidTransaction):
            world.chain.submit(attempt)
    for position in range(0, len(raw), 7):
        flipped = bytearray(raw)
        flipped[position] ^= 0x40
        with pytest.raises(evm.InvalidTransaction):  # another sender has another nonce, or it does not decode
            world.chain.submit(bytes(flipped))
    world.chain.submit(raw)


def test_sending_the_same_bytes_again_is_answered_with_already_known(world: World) -> None:
    raw = world.sign(world.contract, WORD_5)
    world.chain.submit(raw)
    with pytest.raises(evm.InvalidTransaction, match="already known"):
        world.chain.submit(raw)
    assert world.chain.head().block_number == 4


def test_calls_see_a_block_in_its_own_context_and_leave_no_trace(world: World) -> None:
    message = {"to": data(world.contract), "data": data(WORD_5), "from": data(account(1).address)}
    root = world.chain.head().state_root
    for _ in range(3):
        assert world.ask("eth_call", message, "latest") == "0x"
    assert to_int(world.ask("eth_getStorageAt", data(world.contract), "0x0", "latest")) == 2
    world.emit(7)
    assert world.chain.header(3).state_root == root
    assert to_int(world.ask("eth_getStorageAt", data(world.contract), "0x0", "latest")) == 7


def test_an_estimate_is_enough_and_a_failing_one_says_why(world: World) -> None:
    message = {"to": data(world.contract), "data": data(WORD_5), "from": data(world.signer.address)}
    gas = to_int(world.ask("eth_estimateGas", message))
    tx_hash = world.chain.submit(world.sign(world.contract, WORD_5, gas=gas))
    receipt = world.ask("eth_getTransactionReceipt", data(tx_hash))
    assert receipt["status"] == "0x1"
    assert to_int(receipt["gasUsed"]) <= gas <= 2 * to_int(receipt["gasUsed"])
    error = world.error("eth_estimateGas", {**message, "data": data(bytes(32))})
    assert (error["code"], error["data"]) == (3, data(bytes(32)))


def test_a_new_chain_of_the_same_parameters_has_the_same_first_block(tmp_path: Path) -> None:
    hashes = []
    for name, time in (("a", 5), ("b", 5), ("c", 6)):
        with open_embedded(tmp_path / name, chain_id=CHAIN_ID, genesis_time=time) as chain:
            hashes.append(chain.head().hash)
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("chain_id", [0, -1, 2**53 + 1])
def test_a_chain_id_out_of_range_is_an_input_error(tmp_path: Path, chain_id: int) -> None:
    with pytest.raises(InputError, match="chain id"):
        open_embedded(tmp_path / "ledger.sqlite", chain_id=chain_id)


def test_the_header_is_a_valid_ethereum_header(world: World) -> None:
    """Recomputes the block's hash from the JSON form alone (EIP-4895 field order)."""
    import rlp

    block = world.ask("eth_getBlockByNumber", "latest", False)

    def number(name: str) -> bytes:
        value = to_int(block[name])
        return value.to_bytes((value.bit_length() + 7) // 8, "big")

    fields = [
        *(to_bytes(block[n]) for n in (
            "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom")),
        *(number(n) for n in ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")),
        *(to_bytes(block[n]) for n in ("extraData", "mixHash", "nonce")),
        number("baseFeePerGas"),
        to_bytes(block["withdrawalsRoot"]),
    ]  # fmt: skip
    assert data(keccak(rlp.encode(fields))) == block["hash"]
