"""The audit hashes and verifies statements exactly as the parties that sign them."""

from __future__ import annotations

import pytest

from fl_core.errors import VerificationError
from fl_core.protocol.statements import (
    Acceptance,
    CheckStatement,
    Contribution,
    RevealStatement,
    Statement,
)
from fl_core.secret import Secret
from ledger.notary import LedgerNotary, LedgerSigner
from ledger.signer import KeySigner
from ledger.statements import StatementVerifier
from ledger.typed_data import Domain

CHAIN, CONTRACT = 7, b"\x01" * 20
_DIGESTS = dict.fromkeys(("run", "header"), b"\x02" * 32)
_MORE = {
    name: name.encode().ljust(32)
    for name in ("parent", "ciphertext", "boxes", "dataset", "weight", "metrics")
}
STATEMENTS: list[Statement] = [
    Contribution(round=1, member=b"\x03" * 20, **_DIGESTS, **_MORE),
    CheckStatement(round=1, member=b"\x03" * 20, accepted=b"\x04" * 32, values=b"\x05" * 32, **_DIGESTS),
    RevealStatement(round=1, member=b"\x03" * 20, included=b"\x04" * 32, shares=b"\x05" * 32, **_DIGESTS),
    Acceptance(run=b"\x02" * 32, round=1, member=b"\x03" * 20, contribution=b"\x06" * 32),
]


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: type(statement).__name__)
def test_it_agrees_with_the_notary_of_the_parties(statement: Statement) -> None:
    verifier = StatementVerifier(Domain(chain_id=CHAIN, contract=CONTRACT))
    notary, key = LedgerNotary(CHAIN, CONTRACT), KeySigner(Secret(b"\x08" * 32))
    assert verifier.digest(statement) == notary.digest(statement)
    signature = LedgerSigner(notary, key).sign(statement)
    verifier.verify(statement, signature, key.address)
    with pytest.raises(VerificationError):
        verifier.verify(statement, signature, b"\x09" * 20)


def test_roots_agree_and_an_empty_set_has_none() -> None:
    verifier = StatementVerifier(Domain(chain_id=CHAIN, contract=CONTRACT))
    pairs = [(bytes([i]) * 20, bytes([i]) * 32) for i in range(1, 6)]
    assert verifier.root(pairs) == LedgerNotary(CHAIN, CONTRACT).root(pairs)
    with pytest.raises(VerificationError):
        verifier.root([])
