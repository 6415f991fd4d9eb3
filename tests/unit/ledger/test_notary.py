"""The real notary: the core's statements are the contract's typed data, field by field."""

from __future__ import annotations

from dataclasses import astuple, fields

import pytest

from fl_core.errors import LocalProtocolError, VerificationError
from fl_core.protocol.statements import Acceptance, CheckStatement, Contribution, RevealStatement
from ledger import typed_data
from ledger.merkle import MerkleTree, contribution_leaf
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.signer import KeySigner
from tests.simulators.consortium import seed

NOTARY = LedgerNotary(31337, b"\xc0" * 20)
SIGNER = KeySigner(seed("one"))
MEMBER = b"\xaa" * 20


def word(number):
    return bytes([number]) * 32


CONTRIBUTION = Contribution(run=word(1), round=2, member=MEMBER, header=word(3), parent=word(4), ciphertext=word(5),
                            boxes=word(6), dataset=word(7), weight=word(8), metrics=word(9))  # fmt: skip
CHECK = CheckStatement(run=word(1), round=2, member=MEMBER, header=word(3), accepted=word(4), values=word(5))
REVEAL = RevealStatement(
    run=word(1), round=2, member=MEMBER, header=word(3), included=word(4), shares=word(5)
)
ACCEPTANCE = Acceptance(run=word(1), round=2, member=MEMBER, contribution=word(3))
STATEMENTS = (CONTRIBUTION, CHECK, REVEAL, ACCEPTANCE)


@pytest.mark.parametrize(
    ("statement", "struct"),
    [
        (CONTRIBUTION, typed_data.Contribution),
        (CHECK, typed_data.Check),
        (REVEAL, typed_data.Reveal),
        (ACCEPTANCE, typed_data.AcceptanceReceipt),
    ],
)
def test_a_statement_has_the_digest_of_the_contracts_struct_with_the_same_fields(statement, struct):
    assert [f.name for f in fields(statement)] == [f.name for f in fields(struct)]
    domain = typed_data.Domain(chain_id=31337, contract=b"\xc0" * 20)
    assert NOTARY.digest(statement) == struct(
        *[], **dict(zip([f.name for f in fields(struct)], astuple(statement), strict=True))
    ).digest(domain)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_signature_is_verified_against_its_statement_and_its_signer(statement):
    signature = LedgerSigner(NOTARY, SIGNER).sign(statement)
    NOTARY.verify(statement, signature, SIGNER.address)
    for other in STATEMENTS:
        if other is not statement:
            with pytest.raises(VerificationError):
                NOTARY.verify(other, signature, SIGNER.address)
    for signer in (KeySigner(seed("other")).address, bytes(20), b""):
        with pytest.raises(VerificationError):
            NOTARY.verify(statement, signature, signer)
    for broken in (b"", signature[:-1], bytes(65), signature[:64] + b"\x00"):
        with pytest.raises(VerificationError):
            NOTARY.verify(statement, broken, SIGNER.address)


@pytest.mark.parametrize(("chain_id", "contract"), [(1, b"\xc0" * 20), (31337, b"\xc1" * 20)])
def test_a_signature_is_for_one_chain_and_one_contract(chain_id, contract):
    signature = LedgerSigner(NOTARY, SIGNER).sign(ACCEPTANCE)
    with pytest.raises(VerificationError):
        LedgerNotary(chain_id, contract).verify(ACCEPTANCE, signature, SIGNER.address)


def test_a_root_is_the_contracts_tree_whatever_the_order_of_its_leaves():
    pairs = [(bytes([i]) * 20, word(i)) for i in range(1, 6)]
    expected = MerkleTree(contribution_leaf(member, digest) for member, digest in pairs).root
    assert NOTARY.root(pairs) == NOTARY.root(pairs[::-1]) == expected
    assert NOTARY.root(pairs[1:]) != expected


def test_no_root_is_given_over_nothing_or_over_one_leaf_twice():
    with pytest.raises(VerificationError, match="not empty"):
        NOTARY.root([])
    with pytest.raises(LocalProtocolError):
        NOTARY.root([(MEMBER, word(1)), (MEMBER, word(1))])
