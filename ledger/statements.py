"""Hashes and verifies statements of members as EIP-712 data of the ledger's contract; cannot sign.

The audit keeps clear of every module from which a signer can be reached, so signing is :mod:`ledger.notary`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from fl_core.errors import VerificationError
from fl_core.protocol.statements import (
    Acceptance,
    BlameStatement,
    CheckStatement,
    Contribution,
    PrekeyStatement,
    RevealStatement,
    Statement,
)
from ledger import typed_data
from ledger.merkle import MerkleTree, contribution_leaf
from ledger.typed_data import Domain

_TYPES = {
    PrekeyStatement: typed_data.Prekey,
    Contribution: typed_data.Contribution,
    CheckStatement: typed_data.Check,
    RevealStatement: typed_data.Reveal,
    BlameStatement: typed_data.Blame,
    Acceptance: typed_data.AcceptanceReceipt,
}


class StatementVerifier:
    """A :class:`fl_core.protocol.statements.Notary` for one ledger.

    Args:
        domain: The ledger.
    """

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def digest(self, statement: Statement) -> bytes:
        """Return the EIP-712 digest of ``statement``."""
        digest: bytes = _TYPES[type(statement)](**asdict(statement)).digest(self._domain)
        return digest

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
