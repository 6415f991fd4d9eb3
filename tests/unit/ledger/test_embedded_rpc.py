"""The JSON-RPC face: every method answers, and bad requests get errors, never exceptions."""

from __future__ import annotations

from pathlib import Path

import pytest
import rlp
from eth_utils.crypto import keccak
from trie import HexaryTrie
from trie.exceptions import BadTrieProof

from ledger.chain.embedded.provider import MAX_LOGS
from ledger.chain.jsonrpc import data, to_bytes, to_int
from tests.unit.ledger.embedded_world import CHAIN_ID, World, history

TOPIC = data((7).to_bytes(32, "big"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return history(tmp_path_factory.mktemp("chain") / "ledger.sqlite", 6)


def test_the_chain_says_who_it_is(world: World) -> None:
    assert world.ask("eth_chainId") == hex(CHAIN_ID)
    assert world.ask("net_version") == str(CHAIN_ID)
    assert world.ask("web3_clientVersion").startswith("suture")
    assert world.ask("eth_blockNumber") == "0x6"
    assert world.ask("eth_maxPriorityFeePerGas") == "0x0"
    assert world.ask("eth_getBalance", data(world.signer.address), "latest") == "0x0"


def test_a_block_is_found_by_number_hash_and_tag(world: World) -> None:
    by_number = world.ask("eth_getBlockByNumber", "0x6", False)
    assert by_number == world.ask("eth_getBlockByNumber", "latest", False)
    assert by_number == world.ask("eth_getBlockByHash", by_number["hash"], False)
    assert world.ask("eth_getBlockByNumber", "earliest", False)["number"] == "0x0"
    assert world.ask("eth_getBlockByNumber", "0x7", False) is None
    assert world.ask("eth_getBlockByHash", data(bytes(32)), False) is None


def test_a_hash_of_something_else_is_no_block(world: World) -> None:
    block = world.ask("eth_getBlockByNumber", "latest", False)
    for name in ("stateRoot", "transactionsRoot", "receiptsRoot"):
        assert world.ask("eth_getBlockByHash", block[name], False) is None
    code_hash = keccak(to_bytes(world.ask("eth_getCode", data(world.contract), "latest")))
    assert world.ask("eth_getBlockByHash", data(code_hash), False) is None


def test_full_blocks_hold_the_transactions_that_are_found_by_hash(world: World) -> None:
    block = world.ask("eth_getBlockByNumber", "0x3", True)
    (transaction,) = block["transactions"]
    assert transaction == world.ask("eth_getTransactionByHash", transaction["hash"])
    assert transaction["from"] == data(world.signer.address)
    assert transaction["to"] == data(world.contract)
    assert to_int(transaction["input"]) == 2
    assert world.ask("eth_getTransactionByHash", data(bytes(32))) is None
    assert world.ask("eth_getTransactionReceipt", data(bytes(32))) is None


def numbers(logs: list[dict[str, str]]) -> list[int]:
    return [to_int(log["blockNumber"]) for log in logs]


def test_logs_are_selected_by_range_address_and_topic(world: World) -> None:
    everything = {"fromBlock": "0x0", "toBlock": "latest"}
    assert numbers(world.ask("eth_getLogs", everything)) == [2, 3, 4, 5, 6]
    assert numbers(world.ask("eth_getLogs", {"fromBlock": "0x3", "toBlock": "0x4"})) == [3, 4]
    assert numbers(world.ask("eth_getLogs", {})) == [6]
    here, elsewhere = data(world.contract), data(bytes(20))
    assert numbers(world.ask("eth_getLogs", {**everything, "address": here})) == [2, 3, 4, 5, 6]
    assert numbers(world.ask("eth_getLogs", {**everything, "address": [elsewhere, here]})) == [2, 3, 4, 5, 6]
    assert numbers(world.ask("eth_getLogs", {**everything, "address": elsewhere})) == []
    for topics, found in (([TOPIC], 5), ([[TOPIC, data(bytes(32))]], 5), ([None], 5), ([data(bytes(32))], 0)):
        assert len(world.ask("eth_getLogs", {**everything, "topics": topics})) == found
    assert world.ask("eth_getLogs", {**everything, "topics": [TOPIC, TOPIC]}) == []


def test_logs_of_a_block_are_those_of_its_receipt(world: World) -> None:
    block = world.ask("eth_getBlockByNumber", "0x4", False)
    logs = world.ask("eth_getLogs", {"blockHash": block["hash"]})
    assert logs == world.ask("eth_getTransactionReceipt", block["transactions"][0])["logs"]
    assert "not found" in world.error("eth_getLogs", {"blockHash": data(bytes(32))})["message"]


def test_more_logs_than_allowed_are_refused_with_the_number(tmp_path: Path) -> None:
    world = history(tmp_path / "ledger.sqlite", 1)
    rows = [(2, n, b"", b"", b"", None, None, None, b"") for n in range(MAX_LOGS + 1)]
    world.chain._store.commit({}, rows)  # type: ignore[arg-type]
    error = world.error("eth_getLogs", {"fromBlock": "0x0", "toBlock": "0x5"})
    assert error["message"] == "query returned more than 10000 results"


def test_proofs_lead_from_the_state_root_to_the_slot(world: World) -> None:
    block = world.ask("eth_getBlockByNumber", "0x4", False)
    proof = world.ask("eth_getProof", data(world.contract), ["0x0", "0x9"], "0x4")
    nodes = [rlp.decode(to_bytes(node)) for node in proof["accountProof"]]
    root = to_bytes(block["stateRoot"])
    nonce, balance, storage_root, code_hash = rlp.decode(
        HexaryTrie.get_from_proof(root, keccak(world.contract), nodes)
    )
    assert (nonce, balance) == (b"\x01", b"")
    assert data(code_hash) == proof["codeHash"]
    assert data(storage_root) == proof["storageHash"]
    held, absent = proof["storageProof"]
    assert (held["value"], absent["value"]) == ("0x3", "0x0")
    for item, value in ((held, b"\x03"), (absent, b"")):
        path = [rlp.decode(to_bytes(node)) for node in item["proof"]]
        key = keccak(to_int(item["key"]).to_bytes(32, "big"))
        found = HexaryTrie.get_from_proof(storage_root, key, path)
        assert (rlp.decode(found) if found else b"") == value
    with pytest.raises(BadTrieProof):
        HexaryTrie.get_from_proof(keccak(b"another root"), keccak(world.contract), nodes)


def test_an_absent_account_is_proven_absent(world: World) -> None:
    proof = world.ask("eth_getProof", data(b"\x55" * 20), [], "latest")
    root = to_bytes(world.ask("eth_getBlockByNumber", "latest", False)["stateRoot"])
    nodes = [rlp.decode(to_bytes(node)) for node in proof["accountProof"]]
    assert HexaryTrie.get_from_proof(root, keccak(b"\x55" * 20), nodes) == b""
    assert (proof["nonce"], proof["codeHash"]) == ("0x0", data(keccak(b"")))


BAD_REQUESTS = {
    "an unknown method": ("eth_mine", []),
    "too many parameters": ("eth_chainId", ["0x0"]),
    "too few parameters": ("eth_getBalance", []),
    "an address of 19 bytes": ("eth_getBalance", ["0x" + "00" * 19, "latest"]),
    "an address without 0x": ("eth_getBalance", ["00" * 20, "latest"]),
    "an address with a space": ("eth_getBalance", ["0x" + "00" * 19 + " 0", "latest"]),
    "a height with a sign": ("eth_getBalance", ["0x" + "00" * 20, "0x-1"]),
    "a height that is a number": ("eth_getBalance", ["0x" + "00" * 20, 1]),
    "a height beyond the head": ("eth_getBalance", ["0x" + "00" * 20, "0x99"]),
    "a slot of 257 bits": ("eth_getStorageAt", ["0x" + "00" * 20, "0x1" + "00" * 32, "latest"]),
    "a call that is a list": ("eth_call", [[], "latest"]),
    "a call with odd hexadecimal": ("eth_call", [{"data": "0x123"}, "latest"]),
    "five topics": ("eth_getLogs", [{"topics": [None] * 5}]),
    "a topic of 20 bytes": ("eth_getLogs", [{"topics": ["0x" + "00" * 20]}]),
    "a filter that is null": ("eth_getLogs", [None]),
    "300 slots in a proof": ("eth_getProof", ["0x" + "00" * 20, ["0x0"] * 300, "latest"]),
    "a transaction that is empty": ("eth_sendRawTransaction", ["0x"]),
    "a transaction that is too long": ("eth_sendRawTransaction", ["0x" + "00" * 300_000]),
}


@pytest.mark.parametrize(("method", "params"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_a_bad_request_gets_an_error(world: World, method: str, params: list[object]) -> None:
    answer = world.chain.request(method, params)
    assert set(answer) == {"error"}
    assert set(answer["error"]) == {"code", "message"}  # type: ignore[call-overload]
    assert world.ask("eth_blockNumber") == "0x6"


def test_running_out_of_gas_is_an_error_without_output(world: World) -> None:
    message = {"to": data(world.contract), "data": data((5).to_bytes(32, "big")), "gas": hex(22_000)}
    error = world.error("eth_call", message, "latest")
    assert error["message"] == "OutOfGas"
    assert "data" not in error
