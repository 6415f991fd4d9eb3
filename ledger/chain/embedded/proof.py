"""Merkle-Patricia proofs of accounts and storage slots (EIP-1186), for auditors who trust no node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import rlp
from eth.abc import DatabaseAPI
from eth.rlp.accounts import Account
from eth_utils.crypto import keccak
from trie import HexaryTrie


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotProof:
    """One storage slot.

    Attributes:
        slot: Its number, in [0, 2^256).
        value: What it holds; 0 when absent.
        nodes: RLP of the trie nodes from the storage root down.
    """

    slot: int
    value: int
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountProof:
    """One account; ``nodes`` lead down from the state root. An absent account has the empty account's fields."""

    balance: int
    nonce: int
    code_hash: bytes
    storage_root: bytes
    nodes: tuple[bytes, ...]
    slots: tuple[SlotProof, ...]


def prove(database: DatabaseAPI, state_root: bytes, address: bytes, slots: Sequence[int]) -> AccountProof:
    """Prove an account and some of its storage under a state root.

    Args:
        database: Trie nodes by hash.
        state_root: Of the block, 32 bytes.
        address: 20 bytes.
        slots: Slot numbers in [0, 2^256).
    """
    accounts = HexaryTrie(database, state_root)
    key = keccak(address)
    encoded = accounts.get(key)
    account = rlp.decode(encoded, Account) if encoded else Account()
    storage = HexaryTrie(database, account.storage_root)
    return AccountProof(
        balance=account.balance,
        nonce=account.nonce,
        code_hash=account.code_hash,
        storage_root=account.storage_root,
        nodes=tuple(rlp.encode(node) for node in accounts.get_proof(key)),
        slots=tuple(_prove_slot(storage, slot) for slot in slots),
    )


def _prove_slot(storage: HexaryTrie, slot: int) -> SlotProof:
    key = keccak(slot.to_bytes(32, "big"))
    encoded = storage.get(key)
    value = rlp.decode(encoded, rlp.sedes.big_endian_int) if encoded else 0
    nodes = tuple(rlp.encode(node) for node in storage.get_proof(key))
    return SlotProof(slot=slot, value=value, nodes=nodes)
