"""The real notary: statements are signed as EIP-712 data of the ledger's contract, sets are trees that it can check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from fl_core.errors import VerificationError
from fl_core.protocol.statements import Acceptance, Contribution, RevealStatement, Statement
from ledger import typed_data
from ledger.merkle import MerkleTree, contribution_leaf
from ledger.signer import Signer
from ledger.typed_data import Domain

_TYPES = {
    Contribution: typed_data.Contribution,
    RevealStatement: typed_data.Reveal,
    Acceptance: typed_data.AcceptanceReceipt,
}


class LedgerNotary:
    """Hashes, verifies and builds trees for one contract on one chain.

    Args:
        chain_id: The chain.
        contract: The contract's address.
    """

    def __init__(self, chain_id: int, contract: bytes) -> None:
        self._domain = Domain(chain_id=chain_id, contract=contract)

    def digest(self, statement: Statement) -> bytes:
        """Return the EIP-712 digest of ``statement``."""
        typed: typed_data.Contribution | typed_data.Reveal | typed_data.AcceptanceReceipt
        typed = _TYPES[type(statement)](**asdict(statement))
        return typed.digest(self._domain)

    def verify(self, statement: Statement, signature: bytes, signer: bytes) -> None:
        """Check that ``signer`` signed ``statement``.

        Raises:
            VerificationError: It did not.
        """
        typed_data.verify(self.digest(statement), signature, signer)

    def root(self, leaves: Sequence[tuple[bytes, bytes]]) -> bytes:
        """Return the root over (member, contribution digest) pairs.

        Raises:
            VerificationError: There are none.
        """
        if not leaves:
            raise VerificationError("a set of contributions is not empty")
        return MerkleTree(contribution_leaf(member, digest) for member, digest in leaves).root


class LedgerSigner:
    """Signs statements with one account's key."""

    def __init__(self, notary: LedgerNotary, signer: Signer) -> None:
        self._notary = notary
        self._signer = signer

    def sign(self, statement: Statement) -> bytes:
        """Return a 65-byte signature over the statement's EIP-712 digest."""
        return self._signer.sign_digest(self._notary.digest(statement))
