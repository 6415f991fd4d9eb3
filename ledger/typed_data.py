"""What members and coordinators sign, as EIP-712 typed data, and how a signature is checked.

Every digest binds the chain id and the contract (the domain) and, in its fields, run, round and member, so that nothing
signed can be used again elsewhere. The contract computes the same digests (``contributionDigest``, ``setKeys``). Wallets
and other implementations can reproduce them from the type strings alone; each class carries its own.

One form of signature is accepted: 65 bytes ``r || s || v`` with ``s`` in the lower half of the group order (EIP-2) and
``v`` of 27 or 28; so a signature has no twin. Pure: signing needs a key and lives in :mod:`ledger.signer`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from typing import ClassVar

from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError

from fl_core.errors import LocalProtocolError, VerificationError
from ledger.records import ADDRESS_SIZE, EMPTY_ADDRESS, WORD_SIZE

SIGNATURE_SIZE = 65
"""Bytes of a signature: r, s, v."""
DOMAIN_NAME = "Suture Training Ledger"
DOMAIN_VERSION = "1"

_DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of secp256k1 (SEC 2 v2, section 2.4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The ledger that a signature is for.

    Attributes:
        chain_id: EIP-155 chain id, in [1, 2**256).
        contract: Address of the ``TrainingLedger``, 20 bytes.
    """

    chain_id: int
    contract: bytes

    def __post_init__(self) -> None:
        _word("uint256", self.chain_id)
        _word("address", self.contract)

    def separator(self) -> bytes:
        """Return the EIP-712 domain separator, the contract's ``DOMAIN``."""
        return _separator(self.chain_id, self.contract)


class _TypedStruct:
    """A struct of EIP-712: its fields are those that ``TYPE`` names, in the same order."""

    __slots__ = ()

    TYPE: ClassVar[str]

    def __post_init__(self) -> None:
        self.struct_hash()

    def struct_hash(self) -> bytes:
        """Return hashStruct of EIP-712.

        Raises:
            LocalProtocolError: A field has the wrong size or range.
        """
        words = [_word(kind, getattr(self, name)) for kind, name in _members(self.TYPE)]
        return keccak(keccak(text=self.TYPE) + b"".join(words))

    def digest(self, domain: Domain) -> bytes:
        """Return the 32 bytes that are signed for ``domain``."""
        return keccak(b"\x19\x01" + domain.separator() + self.struct_hash())


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPossession(_TypedStruct):
    """Signed by a new signing key: it belongs to ``member``.

    Attributes:
        member: Account of the member.
        epoch: Number that the key set will get.
        encryption: Digest of the transport key bundle.
    """

    TYPE: ClassVar[str] = "KeyPossession(address member,uint32 epoch,bytes32 encryption)"

    member: bytes
    epoch: int
    encryption: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prekey(_TypedStruct):
    """Signed by a member: shares for me are sealed to this key for a while.

    Attributes:
        member: Account of the member.
        epoch: Number of the epoch, counted by the member.
        transport: Digest of the transport public key.
    """

    TYPE: ClassVar[str] = "Prekey(address member,uint32 epoch,bytes32 transport)"

    member: bytes
    epoch: int
    transport: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution(_TypedStruct):
    """Signed by a member: this is my contribution to the round.

    Attributes:
        run: The run.
        round: Its number.
        member: Account of the member.
        header: Digest of the round header.
        parent: Id of the model trained from.
        ciphertext: Root of the encrypted update.
        boxes: Root of the sealed shares.
        dataset: Commitment to the data set.
        weight: Commitment to the weight.
        metrics: Commitment to the local metrics.
    """

    TYPE: ClassVar[str] = (
        "Contribution(bytes32 run,uint32 round,address member,bytes32 header,bytes32 parent,bytes32 ciphertext,"
        "bytes32 boxes,bytes32 dataset,bytes32 weight,bytes32 metrics)"
    )

    run: bytes
    round: int
    member: bytes
    header: bytes
    parent: bytes
    ciphertext: bytes
    boxes: bytes
    dataset: bytes
    weight: bytes
    metrics: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(_TypedStruct):
    """Signed by a member: these are my values in the round's share check.

    Attributes:
        run: The run.
        round: Its number.
        member: Account of the member.
        header: Digest of the round header.
        accepted: Root of V, as on the ledger.
        values: Digest of the values.
    """

    TYPE: ClassVar[str] = (
        "Check(bytes32 run,uint32 round,address member,bytes32 header,bytes32 accepted,bytes32 values)"
    )

    run: bytes
    round: int
    member: bytes
    header: bytes
    accepted: bytes
    values: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal(_TypedStruct):
    """Signed by a member: this is my one answer for the round.

    Attributes:
        run: The run.
        round: Its number.
        member: Account of the member.
        header: Digest of the round header.
        included: Root of U, as on the ledger.
        shares: Digest of the summed shares.
    """

    TYPE: ClassVar[str] = (
        "Reveal(bytes32 run,uint32 round,address member,bytes32 header,bytes32 included,bytes32 shares)"
    )

    run: bytes
    round: int
    member: bytes
    header: bytes
    included: bytes
    shares: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame(_TypedStruct):
    """Signed by a member: these are my values at one place of a sum that failed.

    Attributes:
        run: The run.
        round: Its number.
        member: Account of the member.
        header: Digest of the round header.
        included: Root of U, as on the ledger.
        place: Digest of the place.
        values: Digest of the values.
    """

    TYPE: ClassVar[str] = (
        "Blame(bytes32 run,uint32 round,address member,bytes32 header,bytes32 included,bytes32 place,"
        "bytes32 values)"
    )

    run: bytes
    round: int
    member: bytes
    header: bytes
    included: bytes
    place: bytes
    values: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptanceReceipt(_TypedStruct):
    """Signed by the coordinator: this contribution is accepted and will be in V. Its EIP-712 name is ``Receipt``.

    Attributes:
        run: The run.
        round: Its number.
        member: Account of the member.
        contribution: Digest of its contribution.
    """

    TYPE: ClassVar[str] = "Receipt(bytes32 run,uint32 round,address member,bytes32 contribution)"

    run: bytes
    round: int
    member: bytes
    contribution: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle(_TypedStruct):
    """Signed by a sponsor or holder: these files are the run's training code.

    Attributes:
        run: The run.
        files: Digest of the file list.
    """

    TYPE: ClassVar[str] = "Bundle(bytes32 run,bytes32 files)"

    run: bytes
    files: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(_TypedStruct):
    """Signed by a member: I executed every block up to this one, and sign no other at or below its height.

    Attributes:
        member: Account of the member.
        genesis: Hash of block 0.
        number: Height of the block.
        hash: Its hash.
    """

    TYPE: ClassVar[str] = "Checkpoint(address member,bytes32 genesis,uint256 number,bytes32 hash)"

    member: bytes
    genesis: bytes
    number: int
    hash: bytes


def run_id(sponsor: bytes, terms: bytes) -> bytes:
    """Return the id of the run that ``sponsor`` makes under ``terms``: keccak256(abi.encode(sponsor, terms)).

    Args:
        sponsor: Account, 20 bytes.
        terms: Digest of the terms document, 32 bytes.

    Raises:
        LocalProtocolError: An argument has the wrong size.
    """
    return keccak(_word("address", sponsor) + _word("bytes32", terms))


def model_id(run: bytes, round_number: int, artifact: bytes) -> bytes:
    """Return the id of a model: keccak256(abi.encode(run, uint32 round, artifact)).

    Args:
        run: The run, 32 bytes.
        round_number: The round that made it, in [0, 2**32); 0 for a registered root.
        artifact: SHA-256 of the model file, 32 bytes.

    Raises:
        LocalProtocolError: An argument has the wrong size or range.
    """
    return keccak(_word("bytes32", run) + _word("uint32", round_number) + _word("bytes32", artifact))


def recover(digest: bytes, signature: bytes) -> bytes:
    """Return the address whose key made ``signature`` over ``digest``.

    Args:
        digest: 32 bytes.
        signature: 65 bytes, r, s, v.

    Raises:
        VerificationError: The signature is not in the one accepted form, or belongs to no key.
    """
    if len(digest) != WORD_SIZE or len(signature) != SIGNATURE_SIZE:
        raise VerificationError("A signature is 65 bytes over a digest of 32 bytes.")
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if v not in (27, 28):
        raise VerificationError(f"The last byte of a signature is 27 or 28, not {v}.")
    if not 0 < r < CURVE_ORDER or not 0 < s <= CURVE_ORDER // 2:
        raise VerificationError("The signature is not in its canonical form (low s, EIP-2).")
    try:
        public_key = Signature(vrs=(v - 27, r, s)).recover_public_key_from_msg_hash(digest)
    except (BadSignature, ValidationError) as error:
        raise VerificationError("The signature belongs to no key.") from error
    return bytes(public_key.to_canonical_address())


def verify(digest: bytes, signature: bytes, address: bytes) -> None:
    """Check that the key of ``address`` signed ``digest``.

    Args:
        digest: 32 bytes.
        signature: 65 bytes, r, s, v.
        address: The signing key's address, 20 bytes, not zero.

    Raises:
        VerificationError: It did not.
    """
    if len(address) != ADDRESS_SIZE or address == EMPTY_ADDRESS or recover(digest, signature) != address:
        raise VerificationError("The signature was not made by this key.", party=f"0x{address.hex()}")


@cache
def _members(type_string: str) -> tuple[tuple[str, str], ...]:
    """Return (type, name) of each field that an EIP-712 type string lists."""
    inner = type_string[type_string.index("(") + 1 : -1]
    pairs = (field.split(" ") for field in inner.split(","))
    return tuple((kind, name) for kind, name in pairs)


@lru_cache(maxsize=64)
def _separator(chain_id: int, contract: bytes) -> bytes:
    return keccak(
        keccak(text=_DOMAIN_TYPE)
        + keccak(text=DOMAIN_NAME)
        + keccak(text=DOMAIN_VERSION)
        + _word("uint256", chain_id)
        + _word("address", contract)
    )


def _word(kind: str, value: object) -> bytes:
    """Return the 32 bytes of one static ABI value.

    Raises:
        LocalProtocolError: ``value`` is not one of ``kind``.
    """
    match kind, value:
        case "bytes32", bytes() if len(value) == WORD_SIZE:
            return value
        case "address", bytes() if len(value) == ADDRESS_SIZE:
            return value.rjust(WORD_SIZE, b"\x00")
        case "uint32", int() if 0 <= value < 2**32:
            return value.to_bytes(WORD_SIZE, "big")
        case "uint256", int() if 0 <= value < 2**256:
            return value.to_bytes(WORD_SIZE, "big")
    raise LocalProtocolError(
        f"Expected a value of the type {kind}, got {type(value).__name__} of another size."
    )
