"""A block's header and its hash, recomputed from what a node says about the fields (Yellow Paper, section 4.4.2).

The hash of a header is keccak-256 of the RLP list of its fields. The first fifteen are in every header; forks appended
more: the base fee (EIP-1559, London), the withdrawals root (EIP-4895, Shanghai), blob gas and the beacon root (EIP-4844,
EIP-4788, Cancun), the requests root (EIP-7685, Prague). Consortium chains enable some and not others, so those are taken
that the node lists, in this order. Nothing is lost by that: whatever is listed must give the hash, and everything that is
read here lies among the first fifteen, whose places do not move.

On a chain with QBFT or IBFT 2.0 the hash leaves out the commit seals and the round (Besu, ``BftBlockHashing``); such headers
carry a fixed mix hash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import rlp
from eth_utils.crypto import keccak

from fl_core.errors import DecodeError
from ledger.chain.jsonrpc import Json, MalformedJson, to_bytes, to_int
from ledger.records import ADDRESS_SIZE, WORD_SIZE

BFT_MIX_HASH = bytes.fromhex("63746963616c2062797a616e74696e65206661756c7420746f6c6572616e6365")
"""Mix hash of every block of QBFT and IBFT 2.0 (Besu, ``BftHelpers.EXPECTED_MIX_HASH``)."""
MAX_EXTRA_BYTES = 32 * 1024
"""Longest extra data: seals of 250 validators are half of it."""
_BLOOM_SIZE = 256
_NONCE_SIZE = 8
_EXTRA = 12  # place of the extra data

Field = Callable[[object], bytes]


def _number(value: object) -> bytes:
    """Return an integer as RLP has it: big-endian, without leading zeros."""
    number = to_int(value)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


_word, _address = partial(to_bytes, size=WORD_SIZE), partial(to_bytes, size=ADDRESS_SIZE)

_FIELDS: Mapping[str, Field] = {
    "parentHash": _word,
    "sha3Uncles": _word,
    "miner": _address,
    "stateRoot": _word,
    "transactionsRoot": _word,
    "receiptsRoot": _word,
    "logsBloom": partial(to_bytes, size=_BLOOM_SIZE),
    "difficulty": _number,
    "number": _number,
    "gasLimit": _number,
    "gasUsed": _number,
    "timestamp": _number,
    "extraData": to_bytes,
    "mixHash": _word,
    "nonce": partial(to_bytes, size=_NONCE_SIZE),
}
_LATER_FIELDS: Mapping[str, Field] = {
    "baseFeePerGas": _number,
    "withdrawalsRoot": _word,
    "blobGasUsed": _number,
    "excessBlobGas": _number,
    "parentBeaconBlockRoot": _word,
    "requestsHash": _word,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header as a node described it.

    Attributes:
        fields: RLP's items, in order.
        number: Height.
        parent: Hash of the block before, 32 bytes.
        miner: Who proposed the block, 20 bytes.
        state_root: Root of the state after the block, 32 bytes.
        transactions_root: Root of the block's transactions, 32 bytes.
        receipts_root: Root of the receipts of the block's transactions, 32 bytes.
        bloom: Bits of every address and topic that the block logged, 256 bytes.
        timestamp: Unix seconds.
        extra_data: Of a BFT block: validators, vote, round and seals (:mod:`ledger.light.qbft`).
        bft: Whether it is a block of QBFT or IBFT 2.0.
    """

    fields: tuple[bytes, ...]
    number: int
    parent: bytes
    miner: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    bloom: bytes
    timestamp: int
    extra_data: bytes
    bft: bool

    @classmethod
    def of(cls, block: Json) -> Header:
        """Read a block as ``eth_getBlockByNumber`` returns it; its "hash" is not looked at.

        Raises:
            DecodeError: A field is missing or has the wrong form.
        """
        try:
            fields = [decode(block.get(name)) for name, decode in _FIELDS.items()]
            fields += [
                decode(block[name]) for name, decode in _LATER_FIELDS.items() if block.get(name) is not None
            ]
            number, timestamp = to_int(block["number"]), to_int(block["timestamp"])
        except (MalformedJson, KeyError) as error:
            raise DecodeError(f"A block's header cannot be read: {error}.") from error
        extra, mix = fields[_EXTRA], fields[_EXTRA + 1]
        if len(extra) > MAX_EXTRA_BYTES:
            raise DecodeError(
                f"A block's extra data has {len(extra)} bytes; at most {MAX_EXTRA_BYTES} are read."
            )
        return cls(
            fields=tuple(fields),
            number=number,
            parent=fields[0],
            miner=fields[2],
            state_root=fields[3],
            transactions_root=fields[4],
            receipts_root=fields[5],
            bloom=fields[6],
            timestamp=timestamp,
            extra_data=extra,
            bft=mix == BFT_MIX_HASH,
        )

    def hash_with(self, extra_data: bytes) -> bytes:
        """Return the hash that the header has with other extra data."""
        return keccak(rlp.encode([*self.fields[:_EXTRA], extra_data, *self.fields[_EXTRA + 1 :]]))
