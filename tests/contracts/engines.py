"""Two independent EVMs behind one interface: pyrevm, which is fast, and py-evm, whose gas is exact.

pyrevm keeps accessed slots warm from one transaction to the next, so its gas figures are too low and nothing here uses
them. py-evm executes every call as a signed transaction in a block of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol

from eth.chains.base import MiningChain
from eth.constants import POST_MERGE_DIFFICULTY, POST_MERGE_MIX_HASH, POST_MERGE_NONCE
from eth.db.atomic import AtomicDB
from eth.vm.forks import PragueVM
from eth_keys.datatypes import PrivateKey

try:
    from pyrevm import EVM, BlockEnv, CfgEnv, Env
except ImportError:  # it has no wheels for Python 3.13
    HAS_REVM = False
else:
    HAS_REVM = True

CHAIN_ID = 20_260
START = 1_800_000_000
"""Time of the first block, Unix seconds."""
GAS = 16_000_000
"""What a transaction may use."""


@dataclass(frozen=True)
class Log:
    """One log as the EVM has it."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What one transaction did. ``output`` is the return data, the revert data, or the address of a new contract."""

    success: bool
    output: bytes
    gas_used: int
    logs: tuple[Log, ...]


class Engine(Protocol):
    """An EVM with one chain. A new block starts with every :meth:`advance`."""

    chain_id: int
    timestamp: int

    def execute(self, sender: PrivateKey, to: bytes, data: bytes) -> Outcome:
        """Send a transaction; an empty ``to`` creates a contract."""
        ...

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        ...

    def code(self, address: bytes) -> bytes:
        """Return the code of a contract."""
        ...


class Revm:
    """pyrevm: a Rust EVM; about 0.1 ms per call."""

    def __init__(self, chain_id: int = CHAIN_ID, fork: str = "SHANGHAI") -> None:
        self.chain_id = chain_id
        self.timestamp = START
        self._number = 100
        self._evm = EVM(env=Env(cfg=CfgEnv(chain_id=chain_id)), spec_id=fork, gas_limit=2**50)
        self.advance(0)

    def execute(self, sender: PrivateKey, to: bytes, data: bytes) -> Outcome:
        caller = sender.public_key.to_address()
        try:
            if to:
                output = bytes(self._evm.message_call(caller, f"0x{to.hex()}", calldata=data))
            else:
                output = bytes.fromhex(self._evm.deploy(caller, data)[2:])
        except RuntimeError as error:
            revert = re.search(r"output: 0x([0-9a-f]*)", str(error))
            return Outcome(False, bytes.fromhex(revert[1]) if revert else b"", 0, ())
        assert self._evm.result is not None
        logs = tuple(
            Log(_bytes(log.address), tuple(_bytes(topic) for topic in log.topics), bytes(log.data[1]))
            for log in self._evm.result.logs
        )
        return Outcome(True, output, 0, logs)

    def advance(self, seconds: int) -> None:
        self._number += 1
        self.timestamp += seconds
        self._evm.set_block_env(BlockEnv(number=self._number, timestamp=self.timestamp))

    def code(self, address: bytes) -> bytes:
        code = self._evm.get_code(f"0x{address.hex()}")
        assert code is not None
        return bytes(code[:-33])  # revm pads analysed code with 33 zero bytes


class PyEvm:
    """py-evm at the fork of the embedded chain, gas price 0; about 10 ms per transaction."""

    def __init__(self, chain_id: int = CHAIN_ID) -> None:
        chain_class: Any = type(
            "TestChain", (MiningChain,), {"chain_id": chain_id, "vm_configuration": ((0, PragueVM),)}
        )
        genesis = {
            "coinbase": b"\0" * 20,
            "difficulty": POST_MERGE_DIFFICULTY,
            "extra_data": b"",
            "gas_limit": 100_000_000,
            "mix_hash": POST_MERGE_MIX_HASH,
            "nonce": POST_MERGE_NONCE,
            "timestamp": START - 1,
            "base_fee_per_gas": 0,
        }
        self.chain_id = chain_id
        self.timestamp = START
        self._chain: Any = chain_class.from_genesis(AtomicDB(), genesis, {})
        self._nonces: dict[bytes, int] = {}
        self._planted: bytes | None = None

    def execute(self, sender: PrivateKey, to: bytes, data: bytes) -> Outcome:
        address = sender.public_key.to_canonical_address()
        nonce = self._nonces.get(address, 0)
        self._nonces[address] = nonce + 1
        head = self._chain.get_canonical_head()
        self._chain.header = self._chain.create_header_from_parent(
            head, timestamp=max(self.timestamp, head.timestamp + 1)
        )
        self.timestamp = self._chain.header.timestamp
        if self._planted is not None:
            self._chain.header = self._chain.header.copy(state_root=self._planted)
            self._planted = None
        unsigned = self._chain.create_unsigned_transaction(
            nonce=nonce, gas_price=0, gas=GAS, to=to, value=0, data=data
        )
        _, receipt, computation = self._chain.apply_transaction(
            unsigned.as_signed_transaction(sender, chain_id=self.chain_id)
        )
        self._chain.mine_block(mix_hash=b"\0" * 32, blob_gas_used=0)
        logs = tuple(
            Log(log.address, tuple(topic.to_bytes(32, "big") for topic in log.topics), log.data)
            for log in receipt.logs
        )
        created = computation.is_success and not to
        output = computation.msg.storage_address if created else computation.output
        return Outcome(computation.is_success, output, receipt.gas_used, logs)

    def advance(self, seconds: int) -> None:
        self.timestamp += seconds

    def store(self, address: bytes, slot: int, value: int) -> None:
        """Write storage behind the contract's back, for states that would take thousands of transactions."""
        state = self._chain.get_vm().state
        state.set_storage(address, slot, value)
        state.persist()
        self._planted = state.state_root

    def storage(self, address: bytes, slot: int) -> int:
        """Read storage."""
        return int(self._chain.get_vm().state.get_storage(address, slot))

    def code(self, address: bytes) -> bytes:
        return bytes(self._chain.get_vm().state.get_code(address))


def quick_engine(chain_id: int = CHAIN_ID) -> Engine:
    """Return pyrevm, or py-evm where there is none."""
    return Revm(chain_id) if HAS_REVM else PyEvm(chain_id)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
