"""The JSON forms of blocks, transactions, receipts and logs (execution-apis, Ethereum JSON-RPC), and of arguments."""

from __future__ import annotations

import rlp
from eth.abc import BlockHeaderAPI, ReceiptAPI, SignedTransactionAPI
from eth_utils.crypto import keccak

from ledger.chain.embedded import evm
from ledger.chain.embedded.store import LogRow
from ledger.chain.jsonrpc import Json, MalformedJson, data, quantity, to_bytes, to_int


def to_message(value: object) -> evm.Message:
    """Decode the transaction object of eth_call and eth_estimateGas. Fee fields are ignored: gas is free."""
    if not isinstance(value, dict):
        raise MalformedJson("expected a transaction object")
    body = value.get("input", value.get("data", "0x"))
    target = value.get("to")
    return evm.Message(
        sender=to_bytes(value.get("from", data(bytes(20))), 20),
        to=b"" if target is None else to_bytes(target, 20),
        data=to_bytes(body),
        value=to_int(value.get("value", "0x0")),
        gas=min(to_int(value.get("gas", quantity(evm.MAX_TRANSACTION_GAS))), evm.MAX_TRANSACTION_GAS),
    )


def to_choices(value: object, size: int) -> list[bytes]:
    """Decode "this, one of these, or anything": one item, a list of items, or null."""
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    return [to_bytes(item, size) for item in items]


def block(header: BlockHeaderAPI, transactions: tuple[SignedTransactionAPI, ...], *, full: bool) -> Json:
    """Encode a block, with whole transactions or their hashes."""
    listed: list[object] = [
        transaction(item, header, index) if full else data(item.hash)
        for index, item in enumerate(transactions)
    ]
    return {
        "number": quantity(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "sha3Uncles": data(header.uncles_hash),
        "miner": data(header.coinbase),
        "stateRoot": data(header.state_root),
        "transactionsRoot": data(header.transaction_root),
        "receiptsRoot": data(header.receipt_root),
        "logsBloom": data(header.bloom.to_bytes(256, "big")),
        "difficulty": quantity(header.difficulty),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used),
        "timestamp": quantity(header.timestamp),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "nonce": data(header.nonce),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "withdrawalsRoot": data(header.withdrawals_root),
        "withdrawals": [],
        "uncles": [],
        "size": quantity(len(rlp.encode(header)) + sum(len(item.encode()) for item in transactions)),
        "transactions": listed,
    }


def transaction(item: SignedTransactionAPI, header: BlockHeaderAPI, index: int) -> Json:
    """Encode a transaction of a block."""
    kind = item.type_id or 0
    encoded: Json = {
        "hash": data(item.hash),
        "type": quantity(kind),
        "nonce": quantity(item.nonce),
        "blockHash": data(header.hash),
        "blockNumber": quantity(header.block_number),
        "transactionIndex": quantity(index),
        "from": data(item.sender),
        "to": data(item.to) if item.to else None,
        "value": quantity(item.value),
        "gas": quantity(item.gas),
        "input": data(item.data),
        "chainId": quantity(item.chain_id),
        "r": quantity(item.r),
        "s": quantity(item.s),
        "gasPrice": quantity(header.base_fee_per_gas if kind == 2 else item.gas_price),
    }
    if kind == 0:
        encoded["v"] = quantity(item.v)
    else:
        encoded |= {"v": quantity(item.y_parity), "yParity": quantity(item.y_parity), "accessList": []}
    if kind == 2:
        encoded["maxFeePerGas"] = quantity(item.max_fee_per_gas)
        encoded["maxPriorityFeePerGas"] = quantity(item.max_priority_fee_per_gas)
    return encoded


def receipt(header: BlockHeaderAPI, item: SignedTransactionAPI, outcome: ReceiptAPI) -> Json:
    """Encode the receipt of a block's only transaction."""
    created = None if item.to else data(keccak(rlp.encode([item.sender, item.nonce]))[12:])
    sealed = evm.Sealed(header, item, outcome, {})
    return {
        "transactionHash": data(item.hash),
        "transactionIndex": "0x0",
        "blockHash": data(header.hash),
        "blockNumber": quantity(header.block_number),
        "from": data(item.sender),
        "to": data(item.to) if item.to else None,
        "cumulativeGasUsed": quantity(outcome.gas_used),
        "gasUsed": quantity(outcome.gas_used),
        "effectiveGasPrice": quantity(header.base_fee_per_gas),
        "contractAddress": created,
        "logs": [log(row, header.hash) for row in sealed.log_rows()],
        "logsBloom": data(outcome.bloom.to_bytes(256, "big")),
        "type": quantity(item.type_id or 0),
        "status": quantity(
            int(outcome.state_root == b"\x01")
        ),  # py-evm keeps the status byte under this name
    }


def log(row: LogRow, block_hash: bytes) -> Json:
    """Encode a log."""
    topics = (row.topic0, row.topic1, row.topic2, row.topic3)
    return {
        "address": data(row.address),
        "topics": [data(topic) for topic in topics if topic is not None],
        "data": data(row.data),
        "blockNumber": quantity(row.block),
        "blockHash": data(block_hash),
        "transactionHash": data(row.tx),
        "transactionIndex": "0x0",
        "logIndex": quantity(row.position),
        "removed": False,
    }
