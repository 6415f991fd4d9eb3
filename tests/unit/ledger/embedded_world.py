"""A small world for the tests of the embedded chain: accounts, transactions, and a clock that is set by hand."""

from __future__ import annotations

from pathlib import Path

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from fl_core.secret import Secret
from ledger.chain.embedded import EmbeddedChain, open_embedded
from ledger.chain.jsonrpc import data, to_bytes, to_int
from ledger.signer import KeySigner

CHAIN_ID = 4242
START = 1_700_000_000

# Deploys code that emits LOG1(topic 7, data = the call's first word) and stores the word in slot 0; a call whose first
# word is zero reverts with it. Assembled by hand, so that these tests need no contract of the project.
RUNTIME = bytes.fromhex(
    "600035"  # word = calldata[0:32]
    "80600c57"  # if word: go on at 12
    "60206000fd"  # revert(0, 32)
    "5b80600055"  # storage[0] = word
    "600052"  # memory[0:32] = word
    "600760206000a100"  # log1(0, 32, 7); stop
)
INIT = (
    bytes([0x60, len(RUNTIME), 0x60, 0x0C, 0x60, 0x00, 0x39, 0x60, len(RUNTIME), 0x60, 0x00, 0xF3]) + RUNTIME
)


def account(index: int) -> KeySigner:
    """Return one of the test accounts."""
    return KeySigner(Secret(keccak(b"embedded world %d" % index)))


class World:
    """One chain file with a writer, an account that sends, and a contract.

    Args:
        path: The file; made when new.
        start: Time of block 0.
    """

    def __init__(self, path: Path, start: int = START) -> None:
        self.path = path
        self.now = start
        self.chain: EmbeddedChain = open_embedded(path, chain_id=CHAIN_ID, clock=lambda: self.now)
        self.signer = account(0)
        self.contract = b""

    def sign(self, to: bytes | None, payload: bytes, *, nonce: int | None = None, **changes: object) -> bytes:
        """Sign a call with the account's next nonce."""
        fields: dict[str, object] = {
            "nonce": self.nonce() if nonce is None else nonce,
            "gas": 1_000_000,
            "maxFeePerGas": 0,
            "maxPriorityFeePerGas": 0,
            "chainId": CHAIN_ID,
            "value": 0,
            "data": payload,
        }
        if to is not None:
            fields["to"] = to_checksum_address(to)
        return self.signer.sign_transaction({**fields, **changes})

    def nonce(self) -> int:
        """Return the account's next nonce."""
        return to_int(self.ask("eth_getTransactionCount", data(self.signer.address), "latest"))

    def deploy(self) -> bytes:
        """Deploy the contract."""
        tx_hash = self.chain.submit(self.sign(None, INIT))
        receipt = self.ask("eth_getTransactionReceipt", data(tx_hash))
        self.contract = to_bytes(receipt["contractAddress"])
        return self.contract

    def emit(self, word: int) -> bytes:
        """Send a transaction that stores and logs ``word``."""
        return self.chain.submit(self.sign(self.contract, word.to_bytes(32, "big")))

    def ask(self, method: str, *params: object):
        """Return the result of a request."""
        answer = self.chain.request(method, params)
        assert "result" in answer, answer
        return answer["result"]

    def error(self, method: str, *params: object):
        """Return the error of a request."""
        answer = self.chain.request(method, params)
        assert "error" in answer, answer
        return answer["error"]


def history(path: Path, blocks: int) -> World:
    """Make a chain whose block 1 deploys the contract and whose other blocks emit."""
    world = World(path)
    world.deploy()
    for word in range(1, blocks):
        world.emit(word)
    return world
