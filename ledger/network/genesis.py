"""Block 0 of a QBFT network with free gas, and its hash.

The rules are Shanghai's from the start: this version's contracts are compiled for it. Nobody has any currency, and nobody needs
it: the base fee is 0 for ever (``zeroBaseFee``). The hash is that of the header that Besu makes of the file (``GenesisState``):
empty state, empty lists, and, from Shanghai on, an empty list of withdrawals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from eth_utils.crypto import keccak

from ledger.chain.jsonrpc import Json, data
from ledger.light.header import BFT_MIX_HASH, Header
from ledger.light.qbft import block_hash, genesis_extra_data

EPOCH_BLOCKS = 30_000
"""Blocks after which pending votes on validators are dropped."""
GAS_LIMIT = 0x5F5E100
"""Of a block; a round of training uses half a million."""
_EMPTY_TRIE = (
    "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"  # keccak256 of RLP of nothing
)
_EMPTY_LIST = "0x" + keccak(b"\xc0").hex()


def genesis_document(validators: Iterable[bytes], *, chain_id: int, period_s: int) -> Json:
    """Return the genesis file of a network.

    Args:
        validators: Their addresses, 20 bytes each.
        chain_id: Its id.
        period_s: Seconds between two blocks.
    """
    return {
        "config": {
            "chainId": chain_id,
            "berlinBlock": 0,
            "londonBlock": 0,
            "shanghaiTime": 0,
            "zeroBaseFee": True,
            "qbft": {
                "blockperiodseconds": period_s,
                "epochlength": EPOCH_BLOCKS,
                "requesttimeoutseconds": 2 * period_s,
            },
        },
        "nonce": "0x0",
        "timestamp": "0x0",
        "gasLimit": hex(GAS_LIMIT),
        "baseFeePerGas": "0x0",
        "difficulty": "0x1",
        "mixHash": data(BFT_MIX_HASH),
        "coinbase": data(bytes(20)),
        "alloc": {},
        "extraData": data(genesis_extra_data(validators)),
    }


def encode_genesis(document: Json) -> bytes:
    """Return the file."""
    return json.dumps(document, indent=1).encode() + b"\n"


def genesis_hash(document: Json) -> bytes:
    """Return the hash of block 0 that a network with this genesis file has, 32 bytes."""
    header: Json = {
        "parentHash": data(bytes(32)),
        "sha3Uncles": _EMPTY_LIST,
        "miner": document["coinbase"],
        "stateRoot": _EMPTY_TRIE,
        "transactionsRoot": _EMPTY_TRIE,
        "receiptsRoot": _EMPTY_TRIE,
        "logsBloom": data(bytes(256)),
        "difficulty": document["difficulty"],
        "number": "0x0",
        "gasLimit": document["gasLimit"],
        "gasUsed": "0x0",
        "timestamp": document["timestamp"],
        "extraData": document["extraData"],
        "mixHash": document["mixHash"],
        "nonce": data(bytes(8)),
        "baseFeePerGas": document["baseFeePerGas"],
        "withdrawalsRoot": _EMPTY_TRIE,
    }
    return block_hash(Header.of(header))
