"""Transactions of every kind are read from a node's words, and their bytes, hashes and senders follow; vectors of eth_account."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.datastructures import SignedTransaction
from eth_utils.crypto import keccak

from fl_core.errors import VerificationError
from ledger.chain.jsonrpc import Json, data, to_bytes
from ledger.light.header import Header
from ledger.light.nodes import Block
from ledger.light.receipts import trie_root
from ledger.light.transactions import transactions_of
from tests.simulators.qbft_chain import Validators
from tests.unit.ledger.ledger_world import LedgerWorld

KEY = "0x" + "07" * 32
TO = "0x" + "11" * 20
ACCESS = [{"address": TO, "storageKeys": ["0x" + "01" * 32, "0x" + "02" * 32]}]
COMMON: dict[str, Any] = {"nonce": 3, "gas": 90_000, "to": TO, "value": 5, "data": "0xabcd"}
TIPPED = {**COMMON, "chainId": 7, "maxFeePerGas": 9, "maxPriorityFeePerGas": 2}
AUTHORISATION = Account.sign_authorization({"chainId": 7, "address": TO, "nonce": 1}, "0x" + "08" * 32)
KINDS: dict[str, dict[str, Any]] = {
    "before EIP-155": {**COMMON, "gasPrice": 4},
    "EIP-155": {**COMMON, "gasPrice": 4, "chainId": 20_260},
    "a creation": {**COMMON, "gasPrice": 0, "chainId": 7, "to": ""},
    "EIP-2930": {**COMMON, "gasPrice": 4, "chainId": 7, "accessList": ACCESS, "type": 1},
    "EIP-1559": {**TIPPED, "accessList": ACCESS, "type": 2},
    "EIP-4844": {**TIPPED, "maxFeePerBlobGas": 6, "blobVersionedHashes": ["0x01" + "05" * 31], "type": 3},
    "EIP-7702": {**TIPPED, "authorizationList": [AUTHORISATION], "type": 4},
}


def as_node(fields: dict[str, Any], signed: SignedTransaction) -> Json:
    """Describe a transaction as a node does."""
    shown: Json = {
        name: hex(value) if isinstance(value, int) else value
        for name, value in fields.items()
        if name not in ("data", "authorizationList")
    }
    shown |= {"input": fields["data"], "to": fields["to"] or None, "type": hex(fields.get("type", 0))}
    shown |= {"v": hex(signed.v), "r": hex(signed.r), "s": hex(signed.s), "hash": data(signed.hash)}
    if "type" in fields:
        shown |= {"yParity": hex(signed.v), "accessList": fields.get("accessList", [])}
    if "authorizationList" in fields:
        item = AUTHORISATION
        shown["authorizationList"] = [
            {
                "chainId": hex(item.chain_id),
                "address": data(item.address),
                "nonce": hex(item.nonce),
                "yParity": hex(item.y_parity),
                "r": hex(item.r),
                "s": hex(item.s),
            }
        ]
    return shown


def block_with(*raw: bytes) -> Block:
    """A block whose header has the root of these transactions."""
    described = Validators(1).block() | {"transactionsRoot": data(trie_root(raw))}
    return Block(header=Header.of(described), hash=bytes(32))


@pytest.mark.parametrize("fields", KINDS.values(), ids=KINDS.keys())
def test_bytes_hash_and_sender_of_every_kind_are_those_of_its_signer(fields: dict[str, Any]) -> None:
    signed = Account.from_key(KEY).sign_transaction(fields)
    block = block_with(signed.raw_transaction)
    (found,) = transactions_of(block, [as_node(fields, signed)])
    assert found.hash == signed.hash == keccak(signed.raw_transaction)
    sent = found.sent()
    assert sent.sender == to_bytes(Account.from_key(KEY).address.lower())
    assert (sent.nonce, sent.to, sent.data) == (3, to_bytes(TO) if fields["to"] else None, b"\xab\xcd")


def test_a_transaction_that_was_altered_dropped_or_moved_is_refused() -> None:
    first, second = (
        (fields, Account.from_key(KEY).sign_transaction(fields))
        for fields in (KINDS["EIP-155"], KINDS["EIP-1559"])
    )
    block = block_with(first[1].raw_transaction, second[1].raw_transaction)
    honest = [as_node(*first), as_node(*second)]
    assert len(transactions_of(block, honest)) == 2
    for answer in (
        honest[:1],
        honest[::-1],
        [],
        [*honest, honest[0]],
        [{**honest[0], "input": "0xabce"}, honest[1]],
        [honest[0], {**honest[1], "accessList": []}],
        [honest[0], {**honest[1], "type": "0x0", "gasPrice": "0x9"}],
    ):
        with pytest.raises(VerificationError, match="dropped, invented or altered"):
            transactions_of(block, answer)


def test_what_is_no_transaction_is_refused() -> None:
    fields = KINDS["EIP-2930"]
    honest = as_node(fields, Account.from_key(KEY).sign_transaction(fields))
    for wrong in (
        {"type": "0x5"}, {"nonce": None}, {"input": "abcd"}, {"to": "0x11"}, {"accessList": [1]}, {"accessList": None},
        {"r": "0x"}, {"gasPrice": "many"}, {"accessList": [ACCESS[0]] * 1001},
    ):  # fmt: skip
        with pytest.raises(VerificationError, match="cannot be read"):
            transactions_of(block_with(), [honest | wrong])


def test_a_signature_that_is_none_names_no_sender() -> None:
    """No block has such a transaction; a header that was made up may."""
    fields = KINDS["EIP-155"]
    signed = Account.from_key(KEY).sign_transaction(fields)
    (found,) = transactions_of(block_with(signed.raw_transaction), [as_node(fields, signed)])
    for v, r in ((b"", b"\x01"), (b"\x1b", b""), (b"\x1b", b"\xff" * 32)):
        forged = replace(found, fields=(*found.fields[:-3], v, r, found.fields[-1]))
        with pytest.raises(VerificationError, match="has no signature"):
            forged.sent()


def test_the_creation_of_a_ledger_is_proven_from_its_block(tmp_path: Path) -> None:
    world = LedgerWorld(tmp_path)
    (log, *_) = world.connection.logs(world.address, [], 0, 5)
    described = world.connection.raw_block(log.block_number)
    assert described is not None
    block = Block(header=Header.of(described), hash=log.block_hash)
    (found,) = transactions_of(block, world.connection.raw_transactions(log.block_number))
    assert found.hash == log.tx_hash
    assert found.sent() == world.connection.transaction(log.tx_hash)
