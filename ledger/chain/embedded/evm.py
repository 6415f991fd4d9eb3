"""What the embedded chain computes: its genesis, how one transaction becomes one block, and the state of a block.

The chain is a post-merge Ethereum chain at the *Shanghai* fork (the fork the contracts are compiled for; later forks
add beacon roots, blobs and deposit requests to every block, which nobody here needs). Deviations, all inside the rules:
no ether exists, the base fee is 0 for ever, every block holds exactly one transaction, and extra_data carries
:data:`EXTRA_DATA`. The writer (:mod:`.node`) and the auditor (:mod:`.replay`) both build blocks with :func:`seal`, so
they cannot disagree about the rules.

A block's time is the writer's clock, but always later than its parent's: many blocks within a second run ahead of the
clock by one second each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from eth.abc import BlockHeaderAPI, DatabaseAPI, ReceiptAPI, SignedTransactionAPI, StateAPI
from eth.consensus import ConsensusContext
from eth.constants import BLANK_ROOT_HASH, ZERO_ADDRESS
from eth.db.chain import ChainDB
from eth.exceptions import PyEVMError, Revert
from eth.vm.chain_context import ChainContext
from eth.vm.forks import ShanghaiVM
from eth.vm.spoof import SpoofTransaction
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from fl_core.errors import InputError, SutureError
from ledger.chain.embedded.database import BlockWrites, Get, ReadFace
from ledger.chain.embedded.store import LogRow
from ledger.chain.ports import Sent

EXTRA_DATA = b"suture/v1"
BLOCK_GAS_LIMIT = 100_000_000
MAX_TRANSACTION_GAS = 30_000_000
"""Below half the block's limit: a block above half of it would raise the base fee from 0, for ever."""
MAX_TRANSACTION_BYTES = 128 * 1024
"""As in other nodes."""
MAX_CHAIN_ID = 2**53
"""Larger ones do not survive JSON in some wallets."""
HEAD_KEY = b"v1:canonical_head_hash"
"""Where py-evm keeps the hash of the newest block."""


class InvalidTransaction(SutureError):
    """A transaction that no block may hold: malformed, for another chain, out of order or not payable."""


class ExecutionFailed(SutureError):
    """A call or a simulated transaction failed in the EVM.

    Args:
        output: What it returned; a revert carries its reason here.
        reverted: Whether the contract said so, or the EVM stopped it.
        message: The EVM's words.
    """

    def __init__(self, output: bytes, *, reverted: bool, message: str) -> None:
        super().__init__(message)
        self.output = output
        self.reverted = reverted


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A call without a signature.

    Attributes:
        sender: 20 bytes.
        to: The contract, 20 bytes, or empty to make one.
        data: Call data or init code.
        value: Amount of ether; there is none on this chain.
        gas: Limit.
    """

    sender: bytes
    to: bytes
    data: bytes
    value: int = 0
    gas: int = MAX_TRANSACTION_GAS


class Outcome(NamedTuple):
    """What a successful call returned and used."""

    output: bytes
    gas_used: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """What fixes block 0 and the rules.

    Attributes:
        chain_id: From 1 to :data:`MAX_CHAIN_ID`; part of every transaction and signature.
        timestamp: Time of block 0 in Unix seconds.
    """

    chain_id: int
    timestamp: int

    def __post_init__(self) -> None:
        if not 1 <= self.chain_id <= MAX_CHAIN_ID:
            raise InputError(
                f"A chain id lies between 1 and {MAX_CHAIN_ID}, not {self.chain_id}.",
                fix="Choose another one.",
            )
        if not 0 <= self.timestamp < 2**63:
            raise InputError(f"{self.timestamp} is no time in Unix seconds.", fix="Check the clock.")


class Sealed(NamedTuple):
    """One block as it was just computed."""

    header: BlockHeaderAPI
    transaction: SignedTransactionAPI
    receipt: ReceiptAPI
    writes: Mapping[bytes, bytes]

    def log_rows(self) -> tuple[LogRow, ...]:
        """The rows of the log index that belong to this block."""
        rows = []
        for position, log in enumerate(self.receipt.logs):
            topics = [topic.to_bytes(32, "big") for topic in log.topics]
            first, second, third, fourth = topics + [None] * (4 - len(topics))
            rows.append(
                LogRow(
                    block=self.header.block_number,
                    position=position,
                    tx=self.transaction.hash,
                    address=log.address,
                    topic0=first,
                    topic1=second,
                    topic2=third,
                    topic3=fourth,
                    data=log.data,
                )
            )
        return tuple(rows)


def genesis_writes(genesis: Genesis) -> dict[bytes, bytes]:
    """Return the keys and values of block 0: an empty state and its header."""
    database = BlockWrites(lambda key: None)
    header = ShanghaiVM.create_genesis_header(
        state_root=BLANK_ROOT_HASH,
        coinbase=ZERO_ADDRESS,
        gas_limit=BLOCK_GAS_LIMIT,
        timestamp=genesis.timestamp,
        base_fee_per_gas=0,
        extra_data=EXTRA_DATA,
    )
    ChainDB(database).persist_header(header)
    return database.writes


def decode_transaction(raw: bytes, chain_id: int) -> SignedTransactionAPI:
    """Decode a signed transaction in its canonical encoding.

    py-evm executes transactions signed for any chain, so the chain id is checked here.

    Raises:
        InvalidTransaction: Too long, malformed, not canonical, for another chain, or asking for too much gas.
    """
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise InvalidTransaction(f"transaction of {len(raw)} bytes, at most {MAX_TRANSACTION_BYTES}")
    try:
        transaction = ShanghaiVM.get_transaction_builder().decode(raw)
        canonical = transaction.encode() == raw
        _ = transaction.sender  # py-evm recovers it late and lets the library's own error out
    except (
        RLPException,
        ValidationError,
        PyEVMError,
        BadSignature,
        ValueError,
        TypeError,
        IndexError,
    ) as error:
        raise InvalidTransaction(f"malformed transaction: {error}") from error
    if not canonical:
        raise InvalidTransaction("transaction is not in its canonical encoding")
    if transaction.chain_id != chain_id:
        raise InvalidTransaction(f"transaction is for chain {transaction.chain_id}, this is chain {chain_id}")
    if transaction.gas > MAX_TRANSACTION_GAS:
        raise InvalidTransaction(f"transaction wants {transaction.gas} gas, at most {MAX_TRANSACTION_GAS}")
    return transaction


def sent(transaction: SignedTransactionAPI) -> Sent:
    """Return what the sender of a transaction signed."""
    return Sent(
        sender=bytes(transaction.sender),
        nonce=int(transaction.nonce),
        to=bytes(transaction.to) or None,
        data=bytes(transaction.data),
    )


def seal(get: Get, chain_id: int, transaction: SignedTransactionAPI, timestamp: int) -> Sealed:
    """Execute ``transaction`` on top of the newest block and return the block it makes; nothing is stored.

    Args:
        get: The chain so far.
        chain_id: Of the chain.
        transaction: From :func:`decode_transaction`.
        timestamp: Of the block; later than its parent's.

    Raises:
        InvalidTransaction: The block rules refuse it (nonce, funds, gas, time). A transaction that reverts is valid.
    """
    database = BlockWrites(get)
    chain = ChainDB(database)
    parent = chain.get_canonical_head()
    header = next_header(parent, timestamp)
    vm = ShanghaiVM(
        header=header,
        chaindb=chain,
        chain_context=ChainContext(chain_id),
        consensus_context=ConsensusContext(database),
    )
    try:
        filled, receipts, _ = vm.apply_all_transactions([transaction], header)
        block = vm.set_block_transactions_and_withdrawals(vm.get_block(), filled, [transaction], receipts)
        block = vm.mine_block(block).block
    except ValidationError as error:
        raise InvalidTransaction(str(error)) from error
    chain.persist_block(block)
    return Sealed(block.header, transaction, receipts[0], database.writes)


def next_header(parent: BlockHeaderAPI, timestamp: int) -> BlockHeaderAPI:
    """Return the unfilled header of the block after ``parent``."""
    return ShanghaiVM.create_header_from_parent(
        parent, timestamp=timestamp, gas_limit=BLOCK_GAS_LIMIT, coinbase=ZERO_ADDRESS, extra_data=EXTRA_DATA
    )


def state_of(get: Get, chain_id: int, header: BlockHeaderAPI) -> StateAPI:
    """Return the state under ``header.state_root`` in the context of ``header``; what runs on it is never stored."""
    database: DatabaseAPI = ReadFace(get)
    previous = ShanghaiVM.get_prev_hashes(header.parent_hash, ChainDB(database))
    return ShanghaiVM.build_state(database, header, ChainContext(chain_id), previous)


def execute(state: StateAPI, message: Message, chain_id: int) -> Outcome:
    """Run a message on ``state`` and take every change back.

    Raises:
        ExecutionFailed: It reverted, ran out of gas or cannot be paid for.
    """
    unsigned = ShanghaiVM.get_transaction_builder().new_unsigned_dynamic_fee_transaction(
        chain_id=chain_id,
        nonce=state.get_nonce(message.sender),
        max_priority_fee_per_gas=0,
        max_fee_per_gas=0,
        gas=message.gas,
        to=message.to,
        value=message.value,
        data=message.data,
        access_list=(),
    )
    snapshot = state.snapshot()
    try:
        computation = state.apply_transaction(SpoofTransaction(unsigned, from_=message.sender))
    except ValidationError as error:
        raise ExecutionFailed(b"", reverted=False, message=str(error)) from error
    finally:
        state.revert(snapshot)
    if computation.is_error:
        reverted = isinstance(computation.error, Revert)
        words = "execution reverted" if reverted else type(computation.error).__name__
        raise ExecutionFailed(bytes(computation.output), reverted=reverted, message=words)
    return Outcome(bytes(computation.output), computation.get_gas_used() + unsigned.intrinsic_gas)


def sufficient_gas(gas_used: int) -> int:
    """Return a limit for a transaction that used ``gas_used`` when simulated.

    The margin covers refunds (at most a fifth, EIP-3529) and the 1/64 kept back at every inner call. Gas costs nothing
    here, so it may be wide.
    """
    return min(gas_used * 13 // 10 + 5_000, MAX_TRANSACTION_GAS)
