"""The transactions of a block, proven from its header: which there are, in order, with their hashes, and who signed one.

A header holds the root of a trie of its transactions (Yellow Paper, section 4.3.2). Each is RLP of its fields, behind one byte for its
type where it has one (EIP-2718; the fields: EIP-155, EIP-2930, EIP-1559, EIP-4844, EIP-7702). So whoever has all fields of all
transactions computes the root again, and a transaction that was exchanged, altered or moved gives another one. Its hash is that of
its bytes, and its sender is who signed them: neither is a node's word. A receipt stands at the place of its transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import rlp
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from fl_core.errors import VerificationError
from ledger.chain.jsonrpc import Json, MalformedJson, to_bytes, to_int, to_list, to_object
from ledger.chain.ports import Sent
from ledger.light.nodes import Block
from ledger.light.receipts import trie_root
from ledger.records import ADDRESS_SIZE, WORD_SIZE

Item = bytes | list["Item"]
_MAX_ITEMS = 1_000  # of an access list, of its keys, of authorisations
_EIP155_OFFSET = 35


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction of a block.

    Attributes:
        hash: keccak-256 of its bytes.
        kind: Its type; 0 for one of before EIP-2718.
        fields: RLP's items; the last three are the signature.
        nonce: How many transactions of the sender came before it.
        to: Whom it calls, 20 bytes; None when it creates a contract.
        data: Call data, or the creation's code and arguments.
    """

    hash: bytes
    kind: int
    fields: tuple[Item, ...]
    nonce: int
    to: bytes | None
    data: bytes

    def sent(self) -> Sent:
        """Return it with its sender, who follows from the signature.

        Raises:
            VerificationError: The signature is none.
        """
        *unsigned, v, r, s = self.fields
        parity = int.from_bytes(_plain(v), "big")
        if self.kind == 0:
            if parity >= _EIP155_OFFSET:
                chain, parity = divmod(parity - _EIP155_OFFSET, 2)
                unsigned += [_minimal(chain), b"", b""]
            else:
                parity -= 27
        signed = keccak(_typed(self.kind) + rlp.encode(unsigned))
        numbers = (parity, int.from_bytes(_plain(r), "big"), int.from_bytes(_plain(s), "big"))
        try:
            key = Signature(vrs=numbers).recover_public_key_from_msg_hash(signed)
        except (BadSignature, ValidationError) as error:
            raise VerificationError(f"transaction 0x{self.hash.hex()} has no signature") from error
        return Sent(sender=bytes(key.to_canonical_address()), nonce=self.nonce, to=self.to, data=self.data)


def transactions_of(block: Block, answer: Sequence[Json]) -> tuple[Transaction, ...]:
    """Return all transactions of a block, in order.

    Args:
        block: The block, whose header is believed.
        answer: What a node says are its transactions, in full.

    Raises:
        VerificationError: They are not those of the header, or of a type that this version does not know.
    """
    try:
        encoded = [_encode(item) for item in answer]
    except MalformedJson as error:
        raise VerificationError(f"a transaction of block {block.number} cannot be read: {error}") from error
    root = trie_root([raw for raw, _ in encoded])
    if root != block.header.transactions_root:
        raise VerificationError(
            f"the transactions of block {block.number} give the root 0x{root.hex()}, "
            f"its header has 0x{block.header.transactions_root.hex()}: they were dropped, invented or altered"
        )
    return tuple(found for _, found in encoded)


def _encode(item: Json) -> tuple[bytes, Transaction]:
    """Read a transaction; return its bytes as the header's trie has them, too."""
    kind = to_int(item.get("type", "0x0"))
    if kind not in _FIELDS:
        raise MalformedJson(f"type {kind} is not known")
    fields = [read(item) for read in (*_FIELDS[kind], _parity if kind else _quantity("v"), *_SIGNATURE)]
    raw = _typed(kind) + rlp.encode(fields)
    to = _to(item)
    found = Transaction(
        hash=keccak(raw),
        kind=kind,
        fields=tuple(fields),
        nonce=to_int(item.get("nonce")),
        to=to or None,
        data=to_bytes(item.get("input")),
    )
    return raw, found


def _typed(kind: int) -> bytes:
    return bytes([kind]) if kind else b""


def _minimal(number: int) -> bytes:
    """Return an integer as RLP has it: big-endian, without leading zeros."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _plain(item: Item) -> bytes:
    assert isinstance(item, bytes), "fields of a signature are numbers"
    return item


# ---------------------------------------------------------------------- fields

_Read = Callable[[Json], Item]


def _quantity(name: str) -> _Read:
    return lambda item: _minimal(to_int(item.get(name)))


def _to(item: Json) -> bytes:
    to = item.get("to")
    return b"" if to is None else to_bytes(to, ADDRESS_SIZE)


def _input(item: Json) -> bytes:
    return to_bytes(item.get("input"))


def _parity(item: Json) -> bytes:
    """Return which of two keys the signature means; some nodes call it v alone."""
    return _minimal(to_int(item.get("yParity", item.get("v"))))


def _listed(value: object) -> list[object]:
    items = to_list(value)
    if len(items) > _MAX_ITEMS:
        raise MalformedJson(f"expected at most {_MAX_ITEMS} items")
    return items


def _access_list(item: Json) -> Item:
    entries = [to_object(entry) for entry in _listed(item.get("accessList"))]
    return [
        [
            to_bytes(entry.get("address"), ADDRESS_SIZE),
            [to_bytes(key, WORD_SIZE) for key in _listed(entry.get("storageKeys"))],
        ]
        for entry in entries
    ]


def _blob_hashes(item: Json) -> Item:
    return [to_bytes(digest, WORD_SIZE) for digest in _listed(item.get("blobVersionedHashes"))]


def _authorisations(item: Json) -> Item:
    entries = [to_object(entry) for entry in _listed(item.get("authorizationList"))]
    return [
        [
            _minimal(to_int(entry.get("chainId"))),
            to_bytes(entry.get("address"), ADDRESS_SIZE),
            _minimal(to_int(entry.get("nonce"))),
            _parity(entry),
            _minimal(to_int(entry.get("r"))),
            _minimal(to_int(entry.get("s"))),
        ]
        for entry in entries
    ]


_CALL: tuple[_Read, ...] = (_quantity("gas"), _to, _quantity("value"), _input)
_TIPPED: tuple[_Read, ...] = (
    _quantity("chainId"), _quantity("nonce"), _quantity("maxPriorityFeePerGas"), _quantity("maxFeePerGas"), *_CALL,
    _access_list,
)  # fmt: skip
_FIELDS: dict[int, tuple[_Read, ...]] = {
    0: (_quantity("nonce"), _quantity("gasPrice"), *_CALL),
    1: (_quantity("chainId"), _quantity("nonce"), _quantity("gasPrice"), *_CALL, _access_list),
    2: _TIPPED,
    3: (*_TIPPED, _quantity("maxFeePerBlobGas"), _blob_hashes),
    4: (*_TIPPED, _authorisations),
}
"""Type -> its fields in order, without the signature."""
_SIGNATURE: tuple[_Read, ...] = (_quantity("r"), _quantity("s"))
