"""Validators of a QBFT chain, and blocks that they seal as Besu does: for tests of those who check seals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak

from ledger.chain.jsonrpc import Json, data, to_bytes
from ledger.light.header import BFT_MIX_HASH, Header
from ledger.light.nodes import Block
from ledger.light.qbft import ExtraData, Vote, block_hash, quorum

EMPTY = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"  # keccak256 of an empty RLP list


class Validators:
    """Validators with keys.

    Args:
        count: How many.
        name: What their keys are made from.
    """

    def __init__(self, count: int, name: str = "validator") -> None:
        self._hold([PrivateKey(keccak(text=f"{name} {n}")) for n in range(count)])

    def _hold(self, keys: Iterable[PrivateKey]) -> None:
        self.keys = sorted(keys, key=lambda key: key.public_key.to_canonical_address())
        self.addresses = frozenset(self.address(n) for n in range(len(self.keys)))

    def without(self, *places: int) -> Validators:
        """Return the set without some of its validators."""
        rest = Validators(0)
        rest._hold(key for n, key in enumerate(self.keys) if n not in places)
        return rest

    def joined(self, others: Validators) -> Validators:
        """Return the set with all of another one."""
        both = Validators(0)
        both._hold([*self.keys, *others.keys])
        return both

    def address(self, n: int) -> bytes:
        """Return a validator's address; they are in ascending order."""
        return bytes(self.keys[n].public_key.to_canonical_address())

    def block(
        self, *, number: int = 5, round_number: int = 0, parent: bytes = b"\x11" * 32, state: bytes = b"\x22" * 32,
        timestamp: int = 0x66, proposer: int = 0, vote: Vote | None = None,
    ) -> Json:  # fmt: skip
        """Return an unsealed block as JSON-RPC gives it."""
        extra = ExtraData(
            validators=tuple(self.address(n) for n in range(len(self.keys))), vote=vote, round=round_number
        )
        return {
            "parentHash": data(parent),
            "sha3Uncles": EMPTY,
            "miner": data(self.address(proposer)),
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


class VotingChain:
    """Hash-linked blocks from block 0 on, each sealed by validators, some with a vote; nothing here checks who may do what.

    Args:
        genesis: Validators of block 0.
    """

    def __init__(self, genesis: Validators) -> None:
        first = genesis.block(number=0, parent=bytes(32))
        self.blocks: list[Json] = [genesis.with_seals(first, [])]

    def add(
        self, by: Validators, *, proposer: int = 0, vote: Vote | None = None, seals: int | None = None
    ) -> None:
        """Append a block by a set of validators, sealed by as many as are needed or by ``seals`` of them."""
        block = by.block(
            number=len(self.blocks), parent=to_bytes(self.blocks[-1]["hash"]), proposer=proposer, vote=vote
        )
        enough = quorum(len(by.keys)) if seals is None else seals
        self.blocks.append(by.seal(block, range(enough)))

    def vote(self, by: Validators, subject: bytes, *, add: bool, voters: Iterable[int]) -> None:
        """Append one block for each voter, with its vote."""
        for voter in voters:
            self.add(by, proposer=voter, vote=Vote(subject=subject, add=add))

    def ancestors(self, number: int = -1) -> Iterator[Block]:
        """Yield a block and those before it, as :meth:`ledger.light.nodes.Nodes.ancestors` does."""
        top = len(self.blocks) - 1 if number < 0 else number
        for block in reversed(self.blocks[: top + 1]):
            yield Block(header=Header.of(block), hash=to_bytes(block["hash"]))
