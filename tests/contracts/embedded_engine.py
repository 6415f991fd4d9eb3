"""A fourth engine for the contract tests: the embedded chain itself, with its file, blocks and log index."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from eth_account import Account
from eth_keys.datatypes import PrivateKey

from ledger.chain.embedded import evm, open_embedded
from ledger.creation import contract_address
from tests.contracts.engines import CHAIN_ID, GAS, START, Log, Outcome


class EmbeddedEngine:
    """Every call is a signed transaction in a block on the disk; what it returned is simulated before.

    Args:
        path: A new file.
    """

    def __init__(self, path: Path) -> None:
        self.chain_id = CHAIN_ID
        self.timestamp = START
        self._chain = open_embedded(
            path, chain_id=CHAIN_ID, clock=lambda: self.timestamp, genesis_time=START - 1
        )
        self._nonces: dict[bytes, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._chain.close()

    def execute(self, sender: PrivateKey, to: bytes, data: bytes) -> Outcome:
        address = sender.public_key.to_canonical_address()
        nonce = self._nonces.get(address, 0)
        self._nonces[address] = nonce + 1
        promised, output = self._simulated(evm.Message(sender=address, to=to, data=data, gas=GAS))
        fields = {
            "chainId": self.chain_id, "nonce": nonce, "gas": GAS, "value": 0, "data": data,
            "maxFeePerGas": 0, "maxPriorityFeePerGas": 0,
        }  # fmt: skip
        signed = Account.sign_transaction(fields | ({"to": to} if to else {}), sender.to_bytes())
        found = self._chain.find(self._chain.submit(signed.raw_transaction))
        assert found is not None
        header, _, receipt = found
        self.timestamp = header.timestamp
        success = receipt.state_root == b"\x01"
        assert success == promised, "the simulation promised something else"
        height = header.block_number
        logs = tuple(
            Log(row.address, tuple(topic for topic in row[4:8] if topic is not None), row.data)
            for row in self._chain.logs(height, height, [], [], 1000)
        )
        created = success and not to
        return Outcome(
            success, contract_address(address, nonce) if created else output, receipt.gas_used, logs
        )

    def advance(self, seconds: int) -> None:
        self.timestamp += seconds

    def code(self, address: bytes) -> bytes:
        return self._chain.code(address, self._chain.head())

    def _simulated(self, message: evm.Message) -> tuple[bool, bytes]:
        """Return whether a transaction would succeed in the next block, and what it would return."""
        try:
            self._chain.estimate(message)
        except evm.ExecutionFailed as error:
            return False, error.output
        with suppress(
            evm.ExecutionFailed
        ):  # this one sees the clock of the newest block, where it may be too early
            return True, self._chain.call(message, self._chain.head())
        return True, b""
