"""The door to a chain: what it makes of a node's answers, and of what a node gets wrong."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fl_core.errors import DecodeError, LocalProtocolError
from ledger.chain import abi
from ledger.chain.abi import Function, Interface, interface, revert_reason
from ledger.chain.connection import Call, Fees, Web3Connection
from ledger.errors import ChainUnreachable, LedgerError, Reverted, WrongChain
from tests.unit.ledger.embedded_world import CHAIN_ID, RUNTIME, World, history

ADDRESS = b"\x11" * 20
STORE = Function(name="store", selector=b"", inputs=("uint256",), outputs=())
NUMBER = Function(name="number", selector=b"\x01\x02\x03\x04", inputs=(), outputs=("uint256",))
CALL = Call(sender=ADDRESS, to=ADDRESS, data=b"", function="act")
ERROR_TEXT = bytes.fromhex("08c379a0") + abi.encode(["string"], ["training_ledger: no"])


class Node:
    """A node whose answers are prepared by method; a callable gets the parameters."""

    def __init__(self, **answers: object) -> None:
        self.answers: dict[str, object] = {"eth_chainId": hex(CHAIN_ID), **answers}
        self.asked: list[tuple[str, Sequence[object]]] = []

    def request(self, method: str, params: Sequence[object]) -> dict[str, object]:
        self.asked.append((method, params))
        answer = self.answers[method]
        if callable(answer):
            answer = answer(*params)
        return answer if isinstance(answer, dict) and "error" in answer else {"result": answer}


def error(message: str, code: int = -32000, **more: object) -> dict[str, object]:
    return {"error": {"code": code, "message": message, **more}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return history(tmp_path / "ledger.sqlite", 4)


# ---------------------------------------------------------------- a real chain
def exercise(world: World, connection: Web3Connection) -> None:
    """Ask everything once."""
    assert connection.chain_id == CHAIN_ID
    head = connection.head()
    assert (head.number, head.hash) == (4, world.chain.head().hash)
    assert connection.block_hash(2) == world.chain.header(2).hash
    assert connection.block_hash(5) is None
    assert connection.code(world.contract) == RUNTIME
    assert connection.code(ADDRESS) == b""
    assert connection.call(world.contract, STORE, 5) == ()
    assert connection.nonce(world.signer.address) == 4
    assert connection.nonce(ADDRESS) == 0
    assert connection.fees() == Fees(max_fee=0, tip=0)
    call = Call(
        sender=world.signer.address, to=world.contract, data=(5).to_bytes(32, "big"), function="store"
    )
    gas = connection.estimate_gas(call)
    raw = world.sign(world.contract, call.data, gas=gas)
    connection.send_raw(raw)
    connection.send_raw(raw)  # already known
    mined = connection.receipt(abi_hash(raw))
    assert mined is not None
    assert (mined.block_number, mined.succeeded, mined.contract) == (5, True, None)
    assert mined.block_hash == connection.block_hash(5)
    assert connection.receipt(bytes(32)) is None
    logs = list(connection.logs(world.contract, [(7).to_bytes(32, "big")], 0, 5))
    assert [(log.block_number, int.from_bytes(log.data)) for log in logs] == [(2, 1), (3, 2), (4, 3), (5, 5)]
    assert logs[3].tx_hash == mined.tx_hash
    assert list(connection.logs(world.contract, [bytes(32)], 0, 5)) == []
    with pytest.raises(Reverted):
        connection.call(world.contract, STORE, 0)
    connection.send_raw(world.sign(None, bytes.fromhex("60006000f3")))
    made = connection.receipt(abi_hash(world.sign(None, bytes.fromhex("60006000f3"), nonce=5)))
    assert made is not None
    assert made.contract is not None
    assert len(made.contract) == 20


def abi_hash(raw: bytes) -> bytes:
    from eth_utils.crypto import keccak

    return keccak(raw)


def test_everything_can_be_asked_of_an_embedded_chain(world: World) -> None:
    exercise(world, Web3Connection(world.chain, chain_id=CHAIN_ID))


@pytest.fixture
def http(world: World) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = world.chain.request(request["method"], request["params"])
            body = json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.network
def test_everything_can_be_asked_over_http(world: World, http: str) -> None:
    exercise(world, Web3Connection(http, chain_id=CHAIN_ID))


@pytest.mark.network
def test_a_node_that_is_not_there_is_unreachable_and_its_url_is_not_shown() -> None:
    with pytest.raises(ChainUnreachable) as caught:
        Web3Connection("http://user:secret@127.0.0.1:1", timeout_s=0.5)
    assert "secret" not in str(caught.value)


@pytest.mark.network
def test_a_traceback_of_a_node_that_is_away_or_wants_a_password_does_not_show_its_url() -> None:
    word = "hunter2"
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as refusing:  # answers 501 to every POST
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        for port in (1, refusing.server_port):
            with pytest.raises(ChainUnreachable) as caught:
                Web3Connection(f"http://user:{word}@127.0.0.1:{port}/{word}?{word}", timeout_s=0.5)
            assert word not in "".join(traceback.format_exception(caught.value))
        refusing.shutdown()


# ---------------------------------------------------------------- what nodes get wrong
def test_a_node_of_another_chain_is_refused() -> None:
    with pytest.raises(WrongChain, match="serves chain 4242, asked for was 5"):
        Web3Connection(Node(), chain_id=5)


def test_a_revert_carries_the_contracts_sentence() -> None:
    for answer, reason in (
        (error("execution reverted", 3, data="0x" + ERROR_TEXT.hex()), "training_ledger: no"),
        (error("execution reverted: training_ledger: no", 3), "training_ledger: no"),
        (error("execution reverted", 3, data="0x"), ""),
        (error("execution reverted", 3, data="0x12"), ""),
        (error("execution reverted", -32000, data="0x" + ERROR_TEXT.hex()), "training_ledger: no"),
        (error("out of gas"), "out of gas"),
    ):
        connection = Web3Connection(Node(eth_call=answer, eth_estimateGas=answer))
        with pytest.raises(Reverted) as caught:
            connection.call(ADDRESS, NUMBER)
        assert caught.value.reason == reason
        with pytest.raises(Reverted) as caught:
            connection.estimate_gas(CALL)
        assert caught.value.reason == reason
        assert connection.revert_reason(CALL, 5) == reason


def test_a_reason_that_the_node_forgot_is_empty() -> None:
    assert Web3Connection(Node(eth_call=error("missing trie node"))).revert_reason(CALL, 5) == ""
    assert Web3Connection(Node(eth_call="0x")).revert_reason(CALL, 5) == ""


def test_an_error_of_the_node_is_no_revert() -> None:
    connection = Web3Connection(Node(eth_call=error("header not found"), eth_getCode=error("limit", -32005)))
    with pytest.raises(ChainUnreachable, match="header not found"):
        connection.call(ADDRESS, NUMBER)
    with pytest.raises(ChainUnreachable, match="limit"):
        connection.code(ADDRESS)


def test_an_empty_answer_means_that_there_is_no_contract() -> None:
    with pytest.raises(WrongChain, match="no contract with number"):
        Web3Connection(Node(eth_call="0x")).call(ADDRESS, NUMBER)


@pytest.mark.parametrize(
    "answer", ["0x" + "00" * 31, "0x" + "00" * 33, "0x" + "00" * 64, "0x" + "00" * 70_000]
)
def test_an_answer_that_is_not_canonical_is_refused(answer: str) -> None:
    with pytest.raises(DecodeError):
        Web3Connection(Node(eth_call=answer)).call(ADDRESS, NUMBER)
    assert Web3Connection(Node(eth_call="0x" + "00" * 32)).call(ADDRESS, NUMBER) == (0,)


MALFORMED: dict[str, tuple[dict[str, object], Callable[[Web3Connection], object]]] = {
    "a head without number": (
        {"eth_getBlockByNumber": {"hash": "0x" + "00" * 32, "timestamp": "0x1"}}, Web3Connection.head),
    "a head with a short hash": (
        {"eth_getBlockByNumber": {"number": "0x1", "hash": "0x00", "timestamp": "0x1"}}, Web3Connection.head),
    "no head": ({"eth_getBlockByNumber": None}, Web3Connection.head),
    "a head that is a list": ({"eth_getBlockByNumber": []}, Web3Connection.head),
    "a nonce that is a number": ({"eth_getTransactionCount": 5}, lambda c: c.nonce(ADDRESS)),
    "code without 0x": ({"eth_getCode": "6000"}, lambda c: c.code(ADDRESS)),
    "call output that is null": ({"eth_call": None}, lambda c: c.call(ADDRESS, NUMBER)),
    "a receipt without status": (
        {"eth_getTransactionReceipt": {"blockNumber": "0x1"}}, lambda c: c.receipt(bytes(32))),
    "logs that are null": ({"eth_getLogs": None}, lambda c: list(c.logs(ADDRESS, [], 0, 0))),
}  # fmt: skip


@pytest.mark.parametrize(("answers", "ask"), MALFORMED.values(), ids=MALFORMED.keys())
def test_an_unreadable_answer_is_the_nodes_fault(
    answers: dict[str, object], ask: Callable[[Web3Connection], object]
) -> None:
    with pytest.raises(ChainUnreachable, match="unreadable"):
        ask(Web3Connection(Node(**answers)))


@pytest.mark.parametrize("message", ["already known", "AlreadyKnown", "Known transaction", "nonce too low",
                                     "Nonce too low", "transaction already in block", "already imported"])  # fmt: skip
def test_a_node_that_knows_the_bytes_has_accepted_them(message: str) -> None:
    Web3Connection(Node(eth_sendRawTransaction=error(message))).send_raw(b"\x01")


@pytest.mark.parametrize("message", ["insufficient funds", "intrinsic gas too low", "invalid sender"])
def test_bytes_that_a_node_refuses_for_good_are_an_error(message: str) -> None:
    with pytest.raises(LedgerError, match=message) as caught:
        Web3Connection(Node(eth_sendRawTransaction=error(message))).send_raw(b"\x01")
    assert not isinstance(caught.value, ChainUnreachable)


def block(**fields: str) -> dict[str, str]:
    return {
        "number": "0x1",
        "hash": "0x" + "00" * 32,
        "timestamp": "0x1",
        "extraData": "0x" + "ab" * 97,
        **fields,
    }


def test_fees_follow_the_kind_of_chain() -> None:
    for node, fees, fields in (
        (Node(eth_getBlockByNumber=block(), eth_gasPrice="0x7"), Fees(gas_price=7), {"gasPrice": 7}),
        (Node(eth_getBlockByNumber=block(baseFeePerGas="0x0")), Fees(),
         {"maxFeePerGas": 0, "maxPriorityFeePerGas": 0}),
        (Node(eth_getBlockByNumber=block(baseFeePerGas="0x64"), eth_maxPriorityFeePerGas="0x5"),
         Fees(max_fee=205, tip=5), {"maxFeePerGas": 205, "maxPriorityFeePerGas": 5}),
        (Node(eth_getBlockByNumber=block(baseFeePerGas="0x64"), eth_maxPriorityFeePerGas="0x3b9aca00"),
         Fees(max_fee=300, tip=100), {"maxFeePerGas": 300, "maxPriorityFeePerGas": 100}),
    ):  # fmt: skip
        assert Web3Connection(node).fees() == fees
        assert fees.fields() == fields


def test_headers_of_proof_of_authority_chains_can_be_read() -> None:
    assert Web3Connection(Node(eth_getBlockByNumber=block())).head().number == 1


def log(number: int, position: int = 0, address: bytes = ADDRESS) -> dict[str, object]:
    return {"address": "0x" + address.hex(), "topics": [], "data": "0x", "blockNumber": hex(number),
            "blockHash": "0x" + "00" * 32, "transactionHash": "0x" + "00" * 32, "logIndex": hex(position)}  # fmt: skip


def test_logs_are_asked_for_in_pieces_that_shrink_when_the_node_refuses() -> None:
    sizes = []

    def answer(query: dict[str, str]) -> object:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        sizes.append(last - first + 1)
        if last - first >= 500:
            return error("query returned more than 10000 results", -32005)
        return [log(number) for number in (11_999, 4_000, 20) if first <= number <= last]

    connection = Web3Connection(Node(eth_getLogs=answer))
    found = [item.block_number for item in connection.logs(ADDRESS, [], 0, 12_000)]
    assert found == [20, 4_000, 11_999]
    assert max(sizes) == 5_000
    assert len(sizes) < 120


def test_logs_of_one_block_that_the_node_refuses_are_an_error() -> None:
    connection = Web3Connection(Node(eth_getLogs=error("too many")))
    with pytest.raises(ChainUnreachable, match="too many"):
        list(connection.logs(ADDRESS, [], 0, 3))


def test_logs_are_put_in_order_and_foreign_ones_are_refused() -> None:
    mixed = [log(2, 1), log(1, 5), log(2, 0)]
    connection = Web3Connection(Node(eth_getLogs=mixed))
    assert [(item.block_number, item.position) for item in connection.logs(ADDRESS, [], 0, 5)] == [
        (1, 5), (2, 0), (2, 1)]  # fmt: skip
    for foreign in (log(9), log(1, 0, b"\x22" * 20)):
        with pytest.raises(ChainUnreachable, match="not asked for"):
            list(Web3Connection(Node(eth_getLogs=[foreign])).logs(ADDRESS, [], 0, 5))


def test_a_contract_cannot_send_us_to_a_web_server() -> None:
    """EIP-3668: the node answers with OffchainLookup; it is a revert like any other."""
    lookup = bytes.fromhex("556f1830") + bytes(160)
    node = Node(eth_call=error("execution reverted", 3, data="0x" + lookup.hex()))
    with pytest.raises(Reverted):
        Web3Connection(node).call(ADDRESS, NUMBER)
    assert [method for method, _ in node.asked] == ["eth_chainId", "eth_call"]


# ---------------------------------------------------------------- bytes of calls and events
def test_addresses_are_bytes_both_ways() -> None:
    encoded = abi.encode(["address", "bytes32"], [ADDRESS, bytes(32)])
    assert encoded == bytes(12) + ADDRESS + bytes(32)
    assert abi.decode(["address", "bytes32"], encoded) == (ADDRESS, bytes(32))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("bytes32", bytes(31)), ("bytes32", bytes(33)), ("bytes32", "0x" + "00" * 32), ("address", bytes(19)),
     ("address", "0x" + "11" * 20), ("bytes32[]", [bytes(32), bytes(31)]), ("uint32", 2**32), ("uint32", -1),
     ("uint256", "5"), ("bool", 1)],
)  # fmt: skip
def test_a_value_that_does_not_fit_its_type_is_our_mistake(kind: str, value: object) -> None:
    with pytest.raises(LocalProtocolError):
        abi.encode([kind], [value])


def test_a_value_with_dirty_padding_is_not_decoded() -> None:
    with pytest.raises(DecodeError):
        abi.decode(["address"], b"\x01" + bytes(11) + ADDRESS)
    with pytest.raises(DecodeError):
        abi.decode(["bool"], bytes(31) + b"\x02")


def test_selectors_and_topics_are_those_of_the_artifact() -> None:
    from ledger.artifacts import load

    for name in ("TrainingLedger", "RewardToken"):
        artifact = load(name)
        for signature, selector in artifact.method_identifiers.items():
            assert interface(name).function(signature.partition("(")[0]).selector == selector


def test_calls_with_another_number_of_arguments_are_our_mistake() -> None:
    with pytest.raises(LocalProtocolError, match="takes 0 arguments"):
        NUMBER.call_data(1)
    with pytest.raises(LocalProtocolError, match="constructor takes 2"):
        interface("RewardToken").constructor_data(1)
    with pytest.raises(LocalProtocolError, match="no event"):
        interface("RewardToken").event("Nothing")
    assert Interface([]).constructor_data() == b""


def test_a_log_of_another_event_is_not_decoded() -> None:
    transfer = interface("RewardToken").event("Transfer")
    topics = [transfer.topic, bytes(12) + ADDRESS, bytes(32)]
    assert transfer.decode(topics, (5).to_bytes(32, "big")) == {
        "sender": ADDRESS, "receiver": bytes(20), "value": 5}  # fmt: skip
    for wrong in ([bytes(32), *topics[1:]], topics[:2], [*topics, bytes(32)], []):
        with pytest.raises(DecodeError):
            transfer.decode(wrong, (5).to_bytes(32, "big"))
    with pytest.raises(DecodeError):
        transfer.decode(topics, b"")


def test_panics_and_long_reasons_are_kept_readable() -> None:
    assert revert_reason(bytes.fromhex("4e487b71") + (17).to_bytes(32, "big")) == "panic 17"
    long = bytes.fromhex("08c379a0") + abi.encode(["string"], ["x" * 5000])
    assert revert_reason(long) == "x" * 200
    assert revert_reason(bytes.fromhex("08c379a0") + b"\xff" * 64) == ""
