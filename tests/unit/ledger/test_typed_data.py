"""EIP-712 statements and their signatures."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from fl_core.errors import LocalProtocolError, VerificationError
from ledger import typed_data
from ledger.typed_data import Contribution, Domain, KeyPossession, model_id, recover, run_id, verify

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "ledger" / "typed_data.json").read_text("utf-8")
)["cases"]
KEY = keccak(text="a test key")
ADDRESS = bytes.fromhex(Account.from_key(KEY).address[2:])
DIGEST = keccak(text="a digest")
DOMAIN = Domain(chain_id=5, contract=bytes(range(20)))
CONTRIBUTION: dict[str, Any] = {
    "run": bytes([1]) * 32,
    "round": 3,
    "member": bytes([2]) * 20,
    **{
        name: bytes([index]) * 32
        for index, name in enumerate(
            ("header", "parent", "ciphertext", "boxes", "dataset", "weight", "metrics"), 3
        )
    },
}


def statement_of(case: Any) -> Any:
    fields = {
        name: bytes.fromhex(value) if isinstance(value, str) else value
        for name, value in case["fields"].items()
    }
    return getattr(typed_data, case["class"])(**fields)


def domain_of(case: Any) -> Domain:
    return Domain(chain_id=case["chain_id"], contract=bytes.fromhex(case["contract"]))


def oracle_digest(case: Any) -> bytes:
    """Compute the digest with eth_account, from the type string alone."""
    matched = re.fullmatch(r"(\w+)\((.*)\)", case["type"])
    assert matched is not None
    members = [dict(zip(("type", "name"), part.split(" "), strict=True)) for part in matched[2].split(",")]
    signable = encode_typed_data(
        full_message={
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                matched[1]: members,
            },
            "primaryType": matched[1],
            "domain": {
                "name": "Suture Training Ledger",
                "version": "1",
                "chainId": case["chain_id"],
                "verifyingContract": "0x" + case["contract"],
            },
            "message": {
                name: "0x" + value if isinstance(value, str) else value
                for name, value in case["fields"].items()
            },
        }
    )
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['class']}-{case['chain_id'] % 1000}")
def test_the_digest_is_that_of_the_vector_and_of_eth_account(case: Any) -> None:
    digest = statement_of(case).digest(domain_of(case))
    assert digest.hex() == case["digest"]
    assert digest == oracle_digest(case)


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: f"{case['class']}-{case['chain_id'] % 1000}")
def test_a_signature_verifies_as_the_vector_says(case: Any) -> None:
    signer = bytes.fromhex(case["signer"])
    for operation in case["operations"]:
        signature = bytes.fromhex(operation["signature"])
        if operation["success"]:
            verify(bytes.fromhex(case["digest"]), signature, signer)
            assert recover(bytes.fromhex(case["digest"]), signature) == signer
        else:
            with pytest.raises(VerificationError):
                verify(bytes.fromhex(case["digest"]), signature, signer)


def test_eth_account_signatures_are_accepted() -> None:
    signature = Account.unsafe_sign_hash(DIGEST, KEY).signature
    assert recover(DIGEST, bytes(signature)) == ADDRESS


def test_a_signature_by_another_key_is_refused() -> None:
    signature = bytes(Account.unsafe_sign_hash(DIGEST, KEY).signature)
    with pytest.raises(VerificationError, match="not made by this key"):
        verify(DIGEST, signature, bytes([1]) * 20)


@pytest.mark.parametrize("address", [b"", bytes(20), bytes(19), bytes(21)])
def test_nobody_is_no_signer(address: bytes) -> None:
    signature = bytes(Account.unsafe_sign_hash(DIGEST, KEY).signature)
    with pytest.raises(VerificationError):
        verify(DIGEST, signature, address)


def test_a_digest_has_32_bytes() -> None:
    signature = bytes(Account.unsafe_sign_hash(DIGEST, KEY).signature)
    with pytest.raises(VerificationError):
        recover(DIGEST[:31], signature)


@pytest.mark.parametrize("name", CONTRIBUTION)
def test_every_field_changes_the_digest(name: str) -> None:
    value = CONTRIBUTION[name]
    changed = value + 1 if isinstance(value, int) else bytes([0xEE]) * len(value)
    before = Contribution(**CONTRIBUTION).digest(DOMAIN)
    assert Contribution(**{**CONTRIBUTION, name: changed}).digest(DOMAIN) != before


def test_chain_and_contract_change_the_digest() -> None:
    statement = Contribution(**CONTRIBUTION)
    digests = {
        statement.digest(domain)
        for domain in (
            DOMAIN,
            Domain(chain_id=6, contract=DOMAIN.contract),
            Domain(chain_id=5, contract=ADDRESS),
        )
    }
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run", bytes(31)),
        ("run", "00" * 32),
        ("member", bytes(32)),
        ("round", -1),
        ("round", 2**32),
        ("round", b"1"),
    ],
)
def test_a_statement_with_a_malformed_field_does_not_exist(name: str, value: object) -> None:
    with pytest.raises(LocalProtocolError):
        Contribution(**{**CONTRIBUTION, name: value})


@pytest.mark.parametrize(("chain_id", "contract"), [(-1, bytes(20)), (2**256, bytes(20)), (1, bytes(19))])
def test_a_malformed_domain_does_not_exist(chain_id: int, contract: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        Domain(chain_id=chain_id, contract=contract)


def test_different_statements_about_the_same_values_differ() -> None:
    possession = KeyPossession(member=ADDRESS, epoch=1, encryption=DIGEST)
    receipt = typed_data.Bundle(run=DIGEST, files=DIGEST)
    assert possession.digest(DOMAIN) != receipt.digest(DOMAIN)


def test_ids_are_the_hash_of_their_abi_encoding() -> None:
    run = run_id(ADDRESS, DIGEST)
    assert run == keccak(encode(["address", "bytes32"], [ADDRESS, DIGEST]))
    assert model_id(run, 9, DIGEST) == keccak(encode(["bytes32", "uint32", "bytes32"], [run, 9, DIGEST]))


@pytest.mark.parametrize("number", [-1, 2**32])
def test_a_model_id_needs_a_round_number(number: int) -> None:
    with pytest.raises(LocalProtocolError):
        model_id(DIGEST, number, DIGEST)
