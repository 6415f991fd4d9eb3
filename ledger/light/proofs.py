"""Merkle-Patricia proofs of ``eth_getProof`` (EIP-1186), checked from a state root down (Yellow Paper, appendix D).

A proof is the list of trie nodes on the way from the root to a key. It shows what is there, or, just as firmly, that nothing
is: a path that ends where the key would have to go on. All failures share one sentence; which byte is wrong helps nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import rlp
from eth_utils.crypto import keccak
from trie import HexaryTrie
from trie.constants import BLANK_NODE_HASH

from fl_core.errors import DecodeError, VerificationError
from ledger.chain.jsonrpc import Json, MalformedJson, to_bytes, to_int, to_list, to_object
from ledger.records import WORD_SIZE

MAX_NODES = 65
"""Longest path: 64 half bytes of a hashed key, and the root."""
MAX_NODE_BYTES = 1024
"""Largest node: a branch has 16 hashes and a value, together below 700 bytes."""
MAX_SLOTS = 256
"""Most slots in one answer."""
EMPTY_CODE = keccak(b"")
_NO_PROOF = "the node's proof does not lead from the root to the value"

Nodes = tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountProof:
    """What a node says about an account, and its proofs; nothing of it is checked.

    Attributes:
        nodes: From the state root to the account.
        slots: Slot -> nodes from the account's storage root.
    """

    nodes: Nodes
    slots: dict[int, Nodes]

    @classmethod
    def of(cls, answer: Json) -> AccountProof:
        """Read the answer of ``eth_getProof``; values that it states beside the proofs are not looked at.

        Raises:
            DecodeError: It has another form, or is too long.
        """
        try:
            storage = [to_object(item) for item in to_list(answer.get("storageProof"))]
            if len(storage) > MAX_SLOTS:
                raise MalformedJson(f"expected at most {MAX_SLOTS} slots")
            return cls(
                nodes=_nodes(answer.get("accountProof")),
                slots={to_int(item.get("key")): _nodes(item.get("proof")) for item in storage},
            )
        except MalformedJson as error:
            raise DecodeError(f"A proof cannot be read: {error}.") from error


def _nodes(value: object) -> Nodes:
    items = to_list(value)
    if len(items) > MAX_NODES:
        raise MalformedJson(f"expected at most {MAX_NODES} nodes")
    nodes = tuple(to_bytes(item) for item in items)
    if any(len(node) > MAX_NODE_BYTES for node in nodes):
        raise MalformedJson(f"expected nodes of at most {MAX_NODE_BYTES} bytes")
    return nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A proven account.

    Attributes:
        nonce: Its transactions, or the contracts that it created.
        balance: In wei.
        storage_root: Root of its storage, 32 bytes.
        code_hash: keccak-256 of its code, 32 bytes.
    """

    nonce: int
    balance: int
    storage_root: bytes
    code_hash: bytes


def prove_account(state_root: bytes, address: bytes, nodes: Nodes) -> Account | None:
    """Return the account at an address in a state, or None where there is proven to be none.

    Raises:
        VerificationError: The nodes prove neither.
    """
    encoded = _value(state_root, keccak(address), nodes)
    if not encoded:
        return None
    try:
        nonce, balance, storage_root, code_hash = cast(Sequence[bytes], rlp.decode(encoded))
        if len(storage_root) != WORD_SIZE or len(code_hash) != WORD_SIZE:
            raise ValueError("a hash has another size")
        return Account(
            nonce=int.from_bytes(nonce, "big"),
            balance=int.from_bytes(balance, "big"),
            storage_root=storage_root,
            code_hash=code_hash,
        )
    except (rlp.exceptions.DecodingError, ValueError, TypeError, RecursionError) as error:
        raise VerificationError(_NO_PROOF) from error


def prove_slot(storage_root: bytes, slot: int, nodes: Nodes) -> int:
    """Return what a storage slot holds, in [0, 2^256); 0 where it is proven to hold nothing.

    Raises:
        VerificationError: The nodes prove neither.
    """
    encoded = _value(storage_root, keccak(slot.to_bytes(WORD_SIZE, "big")), nodes)
    if not encoded:
        return 0
    try:
        value = cast(bytes, rlp.decode(encoded))
        if (
            len(value) > WORD_SIZE or value[:1] == b"\0"
        ):  # empty where a node keeps slots that were set to 0 (anvil)
            raise ValueError("not the canonical form of a word")
    except (rlp.exceptions.DecodingError, ValueError, TypeError, RecursionError) as error:
        raise VerificationError(_NO_PROOF) from error
    return int.from_bytes(value, "big")


def _value(root: bytes, key: bytes, nodes: Nodes) -> bytes:
    """Walk from the root to a key; empty where the path shows that there is nothing."""
    if root == BLANK_NODE_HASH:
        return b""
    try:
        decoded = [rlp.decode(node) for node in nodes]
        return bytes(HexaryTrie.get_from_proof(root, key, decoded))
    except (
        Exception
    ) as error:  # the trie library raises whatever hostile nodes make it raise; all of it is a refusal
        raise VerificationError(_NO_PROOF) from error
