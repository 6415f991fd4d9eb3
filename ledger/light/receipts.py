"""The logs of a block, proven from its header: all of them, and nothing else.

A header holds the root of a trie of the receipts of its transactions, and each receipt holds its logs (Yellow Paper, section
4.4.1; typed receipts: EIP-2718). So whoever has all receipts of a block computes the root again, and a log that was dropped,
invented, altered or moved gives another one. A header also holds a bloom filter of the addresses and topics that were logged: where
an address is not in it, the block has no log of that address, and the receipts need not be asked for.

What a receipt does not hold is the hash of its transaction; it stands at its transaction's place, and the hash comes from there
(:mod:`.transactions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import rlp
from eth_utils.crypto import keccak
from trie import HexaryTrie

from fl_core.errors import VerificationError
from ledger.chain.jsonrpc import Json, MalformedJson, to_bytes, to_int, to_list, to_object
from ledger.chain.ports import Log
from ledger.light.nodes import Block
from ledger.records import ADDRESS_SIZE, WORD_SIZE

MAX_TOPICS = 4
_BLOOM_SIZE = 256
_BLOOM_BITS = 2047
_MAX_TYPE = 0x7F  # EIP-2718


@dataclass(frozen=True, slots=True, kw_only=True)
class _Receipt:
    """A receipt as a node describes it: its consensus bytes, and what they do not hold."""

    encoded: bytes
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]


def may_log(block: Block, address: bytes) -> bool:
    """Tell whether a block may hold a log of an address; where this is False, it holds none."""
    digest = keccak(address)
    for place in (0, 2, 4):
        bit = int.from_bytes(digest[place : place + 2], "big") & _BLOOM_BITS
        if not block.header.bloom[_BLOOM_SIZE - 1 - bit // 8] >> bit % 8 & 1:
            return False
    return True


def logs_of(block: Block, answer: Sequence[Json], hashes: Sequence[bytes], address: bytes) -> list[Log]:
    """Return all logs of an address in a block, in order.

    Args:
        block: The block, whose header is believed.
        answer: What a node says are all receipts of it.
        hashes: Those of its transactions, in order.
        address: 20 bytes.

    Raises:
        VerificationError: The receipts are not those of the header.
    """
    try:
        receipts = [_receipt(item) for item in answer]
    except MalformedJson as error:
        raise VerificationError(f"a receipt of block {block.number} cannot be read: {error}") from error
    root = trie_root([receipt.encoded for receipt in receipts])
    if root != block.header.receipts_root:
        raise VerificationError(
            f"the receipts of block {block.number} give the root 0x{root.hex()}, "
            f"its header has 0x{block.header.receipts_root.hex()}: logs were dropped, invented or altered"
        )
    if len(hashes) != len(receipts):
        raise VerificationError(
            f"block {block.number} has {len(hashes)} transactions and {len(receipts)} receipts"
        )
    found, position = list[Log](), 0
    for receipt, tx_hash in zip(receipts, hashes, strict=True):
        for logger, topics, data in receipt.logs:
            if logger == address:
                found.append(
                    Log(
                        address=logger,
                        topics=topics,
                        data=data,
                        block_number=block.number,
                        block_hash=block.hash,
                        tx_hash=tx_hash,
                        position=position,
                    )
                )
            position += 1
    return found


def receipts_root(encoded: Sequence[bytes]) -> bytes:
    """Return the root that a header of a block with these receipts has."""
    return trie_root(encoded)


def trie_root(encoded: Sequence[bytes]) -> bytes:
    """Return the root of the trie of a list; an item's key is its place, as RLP."""
    trie = HexaryTrie({})
    for place, item in enumerate(encoded):
        trie[rlp.encode(place)] = item
    return bytes(trie.root_hash)


def _receipt(item: Json) -> _Receipt:
    """Read a receipt and encode it as the header's trie has it."""
    kind = to_int(item.get("type", "0x0"))
    if kind > _MAX_TYPE:
        raise MalformedJson("expected a transaction type below 0x80")
    status = item.get("status")
    outcome = (
        to_bytes(item.get("root"), WORD_SIZE) if status is None else _number(status)
    )  # a root before Byzantium (EIP-658)
    logs = tuple(_log(to_object(log)) for log in to_list(item.get("logs")))
    fields = [
        outcome,
        _number(item.get("cumulativeGasUsed")),
        to_bytes(item.get("logsBloom"), _BLOOM_SIZE),
        [[address, list(topics), data] for address, topics, data in logs],
    ]
    return _Receipt(
        encoded=(bytes([kind]) if kind else b"") + rlp.encode(fields),
        logs=logs,
    )


def _log(item: Json) -> tuple[bytes, tuple[bytes, ...], bytes]:
    topics = tuple(to_bytes(topic, WORD_SIZE) for topic in to_list(item.get("topics")))
    if len(topics) > MAX_TOPICS:
        raise MalformedJson(f"expected at most {MAX_TOPICS} topics")
    return to_bytes(item.get("address"), ADDRESS_SIZE), topics, to_bytes(item.get("data"))


def _number(value: object) -> bytes:
    number = to_int(value)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
