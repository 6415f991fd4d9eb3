"""Validators of a QBFT chain, and blocks that they seal as Besu does: for tests of those who check seals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from ledger.chain.jsonrpc import Json, data, to_bytes
from ledger.light.header import BFT_MIX_HASH, Header
from ledger.light.qbft import ExtraData, block_hash

EMPTY = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"  # keccak256 of an empty RLP list


class Validators:
    """Validators with keys.

    Args:
        count: How many.
        name: What their keys are made from.
    """

    def __init__(self, count: int, name: str = "validator") -> None:
        keys = [PrivateKey(keccak(text=f"{name} {n}")) for n in range(count)]
        self.keys = sorted(keys, key=lambda key: key.public_key.to_canonical_address())
        self.addresses = frozenset(self.address(n) for n in range(count))

    def address(self, n: int) -> bytes:
        """Return a validator's address; they are in ascending order."""
        return bytes(self.keys[n].public_key.to_canonical_address())

    def block(
        self, *, number: int = 5, round_number: int = 0, parent: bytes = b"\x11" * 32, state: bytes = b"\x22" * 32,
        timestamp: int = 0x66,
    ) -> Json:  # fmt: skip
        """Return an unsealed block as JSON-RPC gives it."""
        extra = ExtraData(
            validators=tuple(self.address(n) for n in range(len(self.keys))), round=round_number
        )
        return {
            "parentHash": data(parent),
            "sha3Uncles": EMPTY,
            "miner": data(self.address(0)),
            "stateRoot": data(state),
            "transactionsRoot": "0x" + "33" * 32,
            "receiptsRoot": "0x" + "44" * 32,
            "logsBloom": "0x" + "00" * 256,
            "difficulty": "0x1",
            "number": hex(number),
            "gasLimit": "0x1fffffffffffff",
            "gasUsed": "0x0",
            "timestamp": hex(timestamp),
            "extraData": data(extra.encode()),
            "mixHash": data(BFT_MIX_HASH),
            "nonce": "0x" + "00" * 8,
            "baseFeePerGas": "0x0",
        }

    def sign(self, block: Json, n: int) -> bytes:
        """Return a validator's seal of a block: r, s, v over the header without seals."""
        header = Header.of(block)
        extra = replace(ExtraData.decode(header.extra_data), seals=())
        return self.keys[n].sign_msg_hash(header.hash_with(extra.encode())).to_bytes()

    @staticmethod
    def with_seals(block: Json, seals: Sequence[bytes]) -> Json:
        """Return the block with these seals, and with its hash."""
        extra = ExtraData.decode(to_bytes(block["extraData"]))
        sealed = {**block, "extraData": data(replace(extra, seals=tuple(seals)).encode())}
        return {**sealed, "hash": data(block_hash(Header.of(sealed)))}

    def seal(self, block: Json, signers: Iterable[int]) -> Json:
        """Return the block sealed by some of the validators."""
        return self.with_seals(block, [self.sign(block, n) for n in signers])
