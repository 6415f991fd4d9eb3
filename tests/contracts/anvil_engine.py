"""A third engine for the contract tests: a real node, spoken to by JSON-RPC."""

from __future__ import annotations

from eth_account import Account
from eth_keys.datatypes import PrivateKey

from tests.contracts.engines import CHAIN_ID, GAS, START, Log, Outcome
from tests.simulators.anvil import Anvil

OPTIONS = {"chain_id": CHAIN_ID, "timestamp": START}
"""How to start a node for :class:`AnvilEngine`."""


class AnvilEngine:
    """Every call is a signed transaction in a block of its own, gas price 0; only :meth:`advance` moves the time.

    Args:
        node: Started with :data:`OPTIONS`; whoever starts it ends it.
    """

    def __init__(self, node: Anvil) -> None:
        self.chain_id = CHAIN_ID
        self.timestamp = START
        self._node = node
        self._nonces: dict[bytes, int] = {}
        node.ask("anvil_setBlockTimestampInterval", 0)

    def execute(self, sender: PrivateKey, to: bytes, data: bytes) -> Outcome:
        address = sender.public_key.to_canonical_address()
        nonce = self._nonces.get(address, 0)
        self._nonces[address] = nonce + 1
        fields = {
            "chainId": self.chain_id,
            "nonce": nonce,
            "gas": GAS,
            "gasPrice": 0,
            "value": 0,
            "data": data,
        }
        target = {"to": to} if to else {}
        signed = Account.sign_transaction({**fields, **target}, sender.to_bytes())
        digest = self._node.ask("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex())
        receipt = self._node.wait_for("eth_getTransactionReceipt", digest)
        block = self._node.wait_for("eth_getBlockByNumber", receipt["blockNumber"], False)
        self.timestamp = int(block["timestamp"], 16)
        success = receipt["status"] == "0x1"
        if success and not to:
            output = receipt["contractAddress"]
        else:
            trace = self._node.ask("debug_traceTransaction", digest, {"tracer": "callTracer"})
            output = trace.get("output", "0x")
        logs = tuple(
            Log(_bytes(log["address"]), tuple(_bytes(topic) for topic in log["topics"]), _bytes(log["data"]))
            for log in receipt["logs"]
        )
        return Outcome(success, _bytes(output), int(receipt["gasUsed"], 16), logs)

    def advance(self, seconds: int) -> None:
        self.timestamp += seconds
        self._node.next_block_at(self.timestamp)

    def storage(self, address: bytes, slot: int) -> int:
        """Read storage."""
        return int(self._node.ask("eth_getStorageAt", "0x" + address.hex(), hex(slot), "latest"), 16)

    def store(self, address: bytes, slot: int, value: int) -> None:
        """Write storage behind the contract's back, for states that would take thousands of transactions."""
        word = "0x" + value.to_bytes(32, "big").hex()
        self._node.ask("anvil_setStorageAt", "0x" + address.hex(), hex(slot), word)

    def code(self, address: bytes) -> bytes:
        return _bytes(self._node.ask("eth_getCode", "0x" + address.hex(), "latest"))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
